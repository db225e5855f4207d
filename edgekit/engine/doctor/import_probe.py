"""Run as a process of its own: import one package, or open libcuda, and print what was found as JSON.

A library that does not fit can crash the process that loads it: that must not be the doctor's.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

_LIBRARIES = re.compile(r"\S+/(lib(?:cudart|nvinfer|nvonnxparser|cudla)\.so[.\d]*)$")


def probe_package(name: str) -> dict[str, Any]:
    """``version``, ``file``, and which CUDA and TensorRT ``libraries`` it loaded; or ``error``, and ``missing``."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name == name.partition(".")[0]
        return {"error": str(error), "missing": missing}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "missing": False}
    found: dict[str, Any] = {
        "version": _text(getattr(module, "__version__", None)),
        "file": _text(getattr(module, "__file__", None)),
        "libraries": _loaded_libraries(),
    }
    if name == "pycuda.driver":
        found["version"] = _text(importlib.import_module("pycuda").VERSION_TEXT)
        found["cuda"] = ".".join(map(str, module.get_version()[:2]))
    if name == "cv2":
        line = next((line for line in module.getBuildInformation().splitlines() if "GStreamer:" in line), "")
        found["gstreamer"] = "YES" in line
    return found


def probe_cuda() -> dict[str, Any]:
    """``driver``: the CUDA version it serves, and ``gpus`` with name, sm and memory in bytes; or ``error``.

    CUDA Driver API, "Initialization", "Version Management" and "Device Management".
    """
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"error": str(error), "missing": True}
    version, count = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    driver = f"{version.value // 1000}.{version.value % 1000 // 10}"
    status = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if status:
        return {"driver": driver, "error": f"CUDA error {status}: {_error_text(library, status)}", "missing": False}
    return {"driver": driver, "gpus": [_gpu(library, index) for index in range(count.value)]}


_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


def _gpu(library: Any, index: int) -> dict[str, Any]:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    sm = f"{major.value}.{minor.value}"
    return {"name": name.value.decode(errors="replace"), "sm": sm, "memory": memory.value}


def _error_text(library: Any, status: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(status, ctypes.byref(text))
    return (text.value or b"unknown").decode(errors="replace")


def _loaded_libraries() -> list[str]:
    """File names of the CUDA and TensorRT libraries that this process has loaded."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return sorted({found[1] for line in lines if (found := _LIBRARIES.search(line))})


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


if __name__ == "__main__":
    # What a package prints while it is imported must not stand in front of the document.
    with contextlib.redirect_stdout(sys.stderr):
        document = probe_cuda() if sys.argv[1] == "cuda" else probe_package(sys.argv[1])
    print(json.dumps(document))
