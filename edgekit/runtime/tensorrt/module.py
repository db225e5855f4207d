"""The Python module of TensorRT, or of TensorRT for RTX, on this machine, or the reason why it is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError

SYSTEM_PACKAGES = ("usr/lib/python3*/dist-packages", "usr/local/lib/python3*/dist-packages")


RTX_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # of the metapackage, and of the package behind it


def import_tensorrt() -> Any:
    """The module. EdgekitError, with what to do, where it is missing, hidden, broken or older than 8.5."""
    try:
        import tensorrt as trt
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorrt":
            raise
        raise _missing() from None
    except ImportError as error:  # the module is there, a library it needs is not
        raise EdgekitError(
            f"TensorRT's Python module cannot be loaded: {error}",
            where=f"this Python: {sys.executable}",
            fix="on a Jetson install JetPack's own (sudo apt install python3-libnvinfer) and remove what pip brought "
            "(pip uninstall tensorrt); on a workstation reinstall the package: pip install --force-reinstall tensorrt",
        ) from error
    if not hasattr(trt, "IExecutionContext") or not hasattr(trt.IExecutionContext, "execute_async_v3"):
        raise EdgekitError(
            f"TensorRT {getattr(trt, '__version__', 'of unknown version')} is too old: edgekit needs 8.5 or newer",
            where=str(getattr(trt, "__file__", "tensorrt")),
            fix="update to JetPack 5.1 or newer; Jetson Nano and TX2 end at JetPack 4.6 with TensorRT 8.2 and are not "
            "supported",
        )
    return trt


def import_rtx() -> Any:
    """The module of TensorRT for RTX: the same names for desktop GPUs. EdgekitError where it is missing or broken."""
    try:
        try:
            import tensorrt_rtx as trt
        except ModuleNotFoundError as error:
            if error.name != RTX_MODULES[0]:
                raise
            import tensorrt_rtx_bindings as trt
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == RTX_MODULES[1]
        raise EdgekitError(
            "TensorRT for RTX is not installed" if missing else f"TensorRT for RTX cannot be loaded: {error}",
            where=f"this Python: {sys.executable}",
            fix="pip install 'edgekit[rtx]' (x86-64 Linux)",
        ) from error
    return trt


def system_tensorrt(root: Path = Path("/")) -> list[Path]:
    """Folders of a TensorRT module in the system's Python under ``root``, this interpreter's version first."""
    own = f"/python3.{sys.version_info.minor}/"
    found = sorted(place.parent for folder in SYSTEM_PACKAGES for place in root.glob(f"{folder}/tensorrt/__init__.py"))
    return sorted(found, key=lambda path: own not in f"{path}/")


def _missing() -> EdgekitError:
    system = system_tensorrt()
    if system and sys.prefix != sys.base_prefix:
        return EdgekitError(
            "this virtual environment hides the system's TensorRT",
            where=f"{sys.prefix} hides {system[0]}",
            fix=f"let it see system packages: set `include-system-site-packages = true` in {sys.prefix}/pyvenv.cfg, or "
            "make it anew with `/usr/bin/python3 -m venv --system-site-packages VENV`; do not pip install tensorrt on "
            "a Jetson",
        )
    if system:
        return EdgekitError(
            f"this Python ({sys.executable}) does not see the system's TensorRT",
            where=str(system[0]),
            fix="run edgekit with the system's Python, /usr/bin/python3, or a virtual environment made by it with "
            "--system-site-packages",
        )
    return EdgekitError(
        "TensorRT's Python module is not installed",
        where=f"this Python: {sys.executable}",
        fix="on a Jetson: sudo apt install python3-libnvinfer (part of JetPack; do not use pip there); "
        "on a workstation: pip install 'edgekit[tensorrt]'",
    )
