"""CUDA graphs over the fake driver library, and the ctypes signatures against CUDA's own header where there is one."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda import driver_graph


def test_what_was_captured_runs_when_launched(device, libcuda):
    stream, memory, source = device.stream(), device.allocate(4), device.pinned((4,), np.uint8)
    out = device.pinned((4,), np.uint8)
    source.array[:], out.array[:] = 1, 0

    def work() -> None:
        device.upload(memory, source.array, stream)
        device.download(out.array, memory, stream)

    graph = device.capture(stream, work)
    stream.synchronize()
    assert out.array.tolist() == [0, 0, 0, 0]  # recorded, not run
    for value in (2, 3):
        source.array[:] = value
        graph.launch(stream)
        stream.synchronize()
        assert out.array.tolist() == [value] * 4
    graph.free()
    with pytest.raises(ValueError, match="freed"):
        graph.launch(stream)


def test_a_failed_capture_leaves_the_stream_usable(device, libcuda):
    stream, memory, out = device.stream(), device.allocate(1), np.zeros(1, np.uint8)
    with pytest.raises(ZeroDivisionError):
        device.capture(stream, lambda: 1 // 0)
    device.upload(memory, np.array([5], np.uint8), stream)
    device.download(out, memory, stream)
    stream.synchronize()
    assert out[0] == 5


def test_what_cannot_be_captured_is_an_error(device, libcuda):
    stream = device.stream()
    libcuda.cuStreamEndCapture = lambda stream, graph: 900
    with pytest.raises(EdgekitError, match="cuStreamEndCapture failed with 900, operation not permitted"):
        device.capture(stream, lambda: None)
    stream.binding._captured = None


def test_a_graph_that_cannot_be_instantiated_is_destroyed(device, libcuda):
    libcuda.cuGraphInstantiateWithFlags = lambda executable, graph, flags: 1
    with pytest.raises(EdgekitError, match="cuGraphInstantiateWithFlags failed with 1"):
        device.capture(device.stream(), lambda: None)


def test_no_driver_library_is_an_error(monkeypatch):
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    driver_graph.driver_library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(EdgekitError, match="CUDA graphs cannot be used"):
        driver_graph.driver_library()


def header() -> str:
    folders = [Path("/usr/local/cuda/include")]
    if nvcc := shutil.which("nvcc"):
        folders.append(Path(nvcc).resolve().parents[1] / "include")
    for folder in folders:
        if (folder / "cuda.h").is_file():
            return (folder / "cuda.h").read_text()
    pytest.skip("there is no cuda.h on this machine")


C_TYPES = {
    "CUstream": ctypes.c_void_p,
    "CUgraph": ctypes.c_void_p,
    "CUgraphExec": ctypes.c_void_p,
    "CUgraph *": ctypes.POINTER(ctypes.c_void_p),
    "CUgraphExec *": ctypes.POINTER(ctypes.c_void_p),
    "CUstreamCaptureMode": ctypes.c_int,
    "CUresult": ctypes.c_int,
    "unsigned long long": ctypes.c_ulonglong,
    "const char **": ctypes.POINTER(ctypes.c_char_p),
}


@pytest.mark.parametrize("name", driver_graph.SIGNATURES)
def test_signatures_are_those_of_the_header(name):
    text = header()
    # cuda.h declares some under another name, which a macro maps to the library's symbol.
    mapped = re.search(rf"#\s*define (\w+)\s+(?:\w+\()?{name}\b", text)
    declared = mapped.group(1) if mapped else name
    arguments = re.search(rf"CUresult CUDAAPI {declared}\(([^)]*)\);", text).group(1)
    types = []
    for argument in arguments.split(","):
        kind = re.sub(r"\w+$", "", argument.strip()).strip()
        types.append(C_TYPES[re.sub(r"\s*(\*+)$", r" \1", kind)])
    assert tuple(types) == driver_graph.SIGNATURES[name]


def test_the_capture_mode_is_the_headers():
    found = re.search(r"CU_STREAM_CAPTURE_MODE_THREAD_LOCAL\s*=\s*(\d+)", header())
    assert int(found.group(1)) == driver_graph.CAPTURE_THREAD_LOCAL
