"""Everything the doctor looks at, collected once; the checks are functions of this alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.boards.machine import Machine, RunCommand, read_machine
from edgekit.runtime.tensorrt.module import system_tensorrt

Probe = Callable[[str], "dict[str, Any]"]
_SECONDS = 60
_TRTEXEC = "usr/src/tensorrt/bin/trtexec"


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs. ``environment``: folder of the virtual environment, None outside one;
    ``sees_system``: whether packages of the system's Python can be imported."""

    version: str
    executable: str
    environment: str | None
    sees_system: bool


@dataclass(frozen=True)
class Surroundings:
    """tensorrt, pycuda, onnxruntime, opencv, av, cuda  what ``import_probe`` found
    system_tensorrt  where the system's own TensorRT bindings lie, whether they can be imported or not
    toolkit          CUDA version under /usr/local/cuda, as "12.6"
    trtexec          its path
    folder, free     where engines would be written, and the bytes free there
    """

    machine: Machine
    interpreter: Interpreter
    tensorrt: dict[str, Any]
    pycuda: dict[str, Any]
    onnxruntime: dict[str, Any]
    opencv: dict[str, Any]
    av: dict[str, Any]
    cuda: dict[str, Any]
    system_tensorrt: str | None
    toolkit: str | None
    trtexec: str | None
    folder: str
    free: int


def look_around(
    folder: Path,
    *,
    root: Path = Path("/"),
    run: RunCommand | None = None,
    probe: Probe | None = None,
    interpreter: Interpreter | None = None,
) -> Surroundings:
    """``folder`` is where engines would go; the other arguments describe another machine."""
    probe = probe or probe_in_child
    bindings = system_tensorrt(root)
    trtexec = shutil.which("trtexec") if root == Path("/") else None
    if trtexec is None and (root / _TRTEXEC).is_file():
        trtexec = str(root / _TRTEXEC)
    return Surroundings(
        machine=read_machine(root, run),
        interpreter=interpreter or this_interpreter(),
        tensorrt=probe("tensorrt"),
        pycuda=probe("pycuda.driver"),
        onnxruntime=probe("onnxruntime"),
        opencv=probe("cv2"),
        av=probe("av"),
        cuda=probe("cuda"),
        system_tensorrt=str(bindings[0]) if bindings else None,
        toolkit=_toolkit(root),
        trtexec=trtexec,
        folder=str(folder.absolute()),
        free=shutil.disk_usage(_existing(folder)).free,
    )


def this_interpreter() -> Interpreter:
    inside = sys.prefix != sys.base_prefix
    return Interpreter(
        ".".join(map(str, sys.version_info[:3])),
        sys.executable,
        sys.prefix if inside else None,
        not inside or sees_system(Path(sys.prefix)),
    )


def sees_system(environment: Path) -> bool:
    """Whether a virtual environment was made with system site packages, by its ``pyvenv.cfg``."""
    try:
        text = (environment / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    settings = dict(line.lower().replace(" ", "").partition("=")[::2] for line in text.splitlines())
    return settings.get("include-system-site-packages") == "true"


def probe_in_child(name: str) -> dict[str, Any]:
    """What ``import_probe`` prints of ``name``; a process that crashes or hangs is an ``error`` too."""
    command = [sys.executable, "-m", "edgekit.engine.doctor.import_probe", name]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"importing it takes more than {_SECONDS} s", "missing": False}
    if done.returncode < 0:
        return {"error": f"importing it ends Python with {signal.Signals(-done.returncode).name}", "missing": False}
    try:
        return json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines()
        return {"error": said[-1] if said else f"importing it ends Python with {done.returncode}", "missing": False}


def _toolkit(root: Path) -> str | None:
    """The CUDA version that /usr/local/cuda/version.json states."""
    try:
        version = json.loads((root / "usr/local/cuda/version.json").read_text())["cuda"]["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ".".join(str(version).split(".")[:2])


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
