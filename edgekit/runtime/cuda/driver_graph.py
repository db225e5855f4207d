"""CUDA graphs by ctypes on the driver's library, because pycuda has none.

CUDA Driver API, "Stream Management" and "Graph Management"; the entry points used exist from CUDA 11.4.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from edgekit.errors import EdgekitError

CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on as they like

_HANDLE, _OUT = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, _OUT),
    "cuGraphInstantiateWithFlags": (_OUT, _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphExecDestroy": (_HANDLE,),
    "cuGraphDestroy": (_HANDLE,),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}
"""Entry point → types of its arguments; every one returns a CUresult, 0 for success."""


@lru_cache(maxsize=1)
def driver_library() -> Any:
    """libcuda with the types of ``SIGNATURES``. EdgekitError where it is missing or too old for graphs."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
        for name, arguments in SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
    except (OSError, AttributeError) as error:
        raise EdgekitError(
            f"CUDA graphs cannot be used: {error}",
            where="libcuda.so of this machine",
            fix="run without CUDA graphs, or update the driver to CUDA 11.4",
        ) from error
    return library


def capture_graph(stream: int, work: Callable[[], None]) -> tuple[int, int]:
    """Record what ``work`` queues on the CUstream ``stream``; (CUgraph, CUgraphExec).

    EdgekitError where something in ``work`` cannot be captured, such as a wait for the device. Whatever happens the
    stream is no longer capturing afterwards.
    """
    graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
    _call("cuStreamBeginCapture_v2", stream, CAPTURE_THREAD_LOCAL)
    try:
        work()
    except BaseException:
        driver_library().cuStreamEndCapture(stream, ctypes.byref(graph))
        if graph.value:
            _call("cuGraphDestroy", graph)
        raise
    _call("cuStreamEndCapture", stream, ctypes.byref(graph))
    try:
        _call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
    except BaseException:
        _call("cuGraphDestroy", graph)
        raise
    return graph.value, executable.value


def launch_graph(executable: int, stream: int) -> None:
    _call("cuGraphLaunch", executable, stream)


def destroy_graph(graph: int, executable: int) -> None:
    _call("cuGraphExecDestroy", executable)
    _call("cuGraphDestroy", graph)


def _call(name: str, *arguments: Any) -> None:
    code = getattr(driver_library(), name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        driver_library().cuGetErrorString(code, ctypes.byref(text))
        reason = text.value.decode() if text.value else "unknown error"
        raise EdgekitError(
            f"CUDA graph: {name} failed with {code}, {reason}",
            where="libcuda.so of this machine",
            fix="run without CUDA graphs; if that works, the network holds something that cannot be captured",
        )
