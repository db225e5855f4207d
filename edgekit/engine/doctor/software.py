"""The software: Python and its environment, the GPU's driver, TensorRT, pycuda, and what is nice to have."""

from __future__ import annotations

import re
from typing import Any

from edgekit.boards.table import JetPack, numbers
from edgekit.engine.doctor.check import Check
from edgekit.engine.doctor.surroundings import Surroundings

LEAST_TENSORRT = "8.5"
INSTALLING = "docs/jetson_install.md"
_LIBRARY = re.compile(r"(lib\w+)\.so\.(\d+)\S*:? cannot open shared object file")


def python(found: Surroundings) -> Check:
    here, jetpack = found.interpreter, found.machine.jetpack
    value = f"{here.version}, {here.environment or here.executable}"
    if isinstance(jetpack, JetPack) and numbers(here.version)[:2] != numbers(jetpack.python):
        meaning = f"JetPack's TensorRT is compiled for Python {jetpack.python}, this one cannot import it"
        if numbers(jetpack.python) < (3, 10):
            fix = "on JetPack 5 build with the bundle's build.sh and infer with examples/infer_trt.py (Python 3.8)"
        else:
            fix = f"python{jetpack.python} -m venv --system-site-packages ENV, and install edgekit there ({INSTALLING})"
        return Check("Python", "problem", value, meaning, fix)
    if here.environment is None:
        return Check("Python", "ok", value, "no virtual environment")
    if here.sees_system:
        return Check("Python", "ok", value, "a virtual environment that sees the system's packages")
    state = "warning" if found.machine.is_jetson else "ok"
    return Check("Python", state, value, "a virtual environment that hides the system's packages", _open(found))


def gpu(found: Surroundings) -> Check:
    cuda = found.cuda
    if cuda.get("missing"):
        meaning = "no NVIDIA driver: nothing can be built here"
        fix = "build on the board"
        if found.machine.is_jetson:
            fix = "in a container: start it with --runtime nvidia; else: sudo apt install nvidia-l4t-cuda"
        return Check("GPU", "problem", "none", f"{meaning} ({cuda['error']})", fix)
    driver = f"driver for CUDA {cuda.get('driver', '?')}"
    if cuda.get("error"):
        fix = (
            "possible reasons: (1) you are not in the group video: sudo usermod -aG video $USER, then log in again; "
            "(2) a container without --runtime nvidia; (3) a driver that does not fit its kernel: reboot"
        )
        return Check("GPU", "problem", driver, cuda["error"], fix)
    if not cuda.get("gpus"):
        return Check("GPU", "problem", f"none, {driver}", "the driver sees no GPU", "in a container: --runtime nvidia")
    named = ", ".join(f"{gpu['name']} (SM {gpu['sm']})" for gpu in cuda["gpus"])
    return Check("GPU", "ok", f"{named}, {driver}", "")


def cuda(found: Surroundings) -> Check:
    """The CUDA libraries against the driver, and against what TensorRT loads."""
    driver, toolkit = found.cuda.get("driver"), found.toolkit
    value = f"toolkit {toolkit or 'none'}, driver for {driver or 'none'}"
    if driver is None:
        return Check("CUDA", "note", value, "no driver to compare with")
    runtime = re.search(r"libcudart\.so\.(\d+)", " ".join(found.tensorrt.get("libraries") or []))
    if runtime and int(runtime[1]) > numbers(driver)[0]:
        meaning = f"TensorRT loaded the runtime of CUDA {runtime[1]}, newer than the driver supports"
        fix = f"install a TensorRT for CUDA {numbers(driver)[0]} (on a Jetson: JetPack's own), or update the driver"
        return Check("CUDA", "problem", value, meaning, fix)
    if toolkit and numbers(toolkit)[0] > numbers(driver)[0]:
        meaning = "the toolkit is newer than the driver supports: what is compiled with it (pycuda) will not run"
        return Check("CUDA", "warning", value, meaning, f"install the toolkit of CUDA {driver}, or update the driver")
    if not toolkit:
        meaning = "no toolkit: engines build and run; pycuda can only be installed from a wheel"
        return Check("CUDA", "note", value, meaning)
    return Check("CUDA", "ok", value, "")


def tensorrt(found: Surroundings) -> Check:
    probed, jetson = found.tensorrt, found.machine.is_jetson
    if probed.get("error"):
        return _no_tensorrt(found, probed)
    version, file = probed.get("version") or "?", probed.get("file") or "?"
    value = f"{version}, {file}"
    if numbers(version) < numbers(LEAST_TENSORRT):
        meaning = f"too old: edgekit needs TensorRT {LEAST_TENSORRT}"
        return Check("TensorRT", "problem", value, meaning, "update the board to JetPack 5.1 or newer")
    if jetson and found.system_tensorrt and not file.startswith(found.system_tensorrt):
        meaning = f"a TensorRT from pip hides JetPack's own in {found.system_tensorrt}"
        fix = f"{found.interpreter.executable} -m pip uninstall tensorrt tensorrt-cu12 tensorrt-cu13"
        return Check("TensorRT", "problem", value, meaning, fix)
    row = found.machine.jetpack
    if isinstance(row, JetPack) and numbers(row.tensorrt)[:2] != numbers(version)[:2]:
        meaning = f"JetPack {row.version} ships {row.tensorrt}: engines are for the one installed"
        return Check("TensorRT", "warning", value, meaning, "nothing, if it was updated on purpose")
    return Check("TensorRT", "ok", value, "builds engines for this machine alone")


def _no_tensorrt(found: Surroundings, probed: dict[str, Any]) -> Check:
    here = found.interpreter
    if probed.get("missing"):
        if found.system_tensorrt and not here.sees_system:
            meaning = (
                f"hidden: the system has it in {found.system_tensorrt}, this virtual environment does not look there"
            )
            return Check("TensorRT", "problem", "hidden", meaning, _open(found))
        if found.system_tensorrt:
            meaning = f"the system's own in {found.system_tensorrt} is for another Python than {here.version}"
            return Check("TensorRT", "problem", "for another Python", meaning, f"see {INSTALLING}")
        fix = "pip install 'edgekit[tensorrt]' on a machine with an NVIDIA GPU, or build on the board"
        if found.machine.is_jetson:
            fix = "sudo apt install python3-libnvinfer (never pip install tensorrt on a Jetson)"
        return Check("TensorRT", "problem", "none", "no engine can be built or run", fix)
    return Check("TensorRT", "problem", "does not load", *_explained(probed["error"], found))


def _explained(error: str, found: Surroundings) -> tuple[str, str]:
    """(meaning, fix) of an import that failed."""
    library = _LIBRARY.search(error)
    if library:
        name, major = library[1], library[2]
        others = f"; here is CUDA {found.toolkit}" if found.toolkit and name.startswith(("libcu", "libnv")) else ""
        meaning = f"it needs {name} of version {major}, which is not here{others}"
        fix = f"install what was compiled for the CUDA of this machine, or {name}.so.{major}; see {INSTALLING}"
        return f"{meaning} ({error})", fix
    if "numpy.core.multiarray" in error or "_ARRAY_API" in error:
        # JetPack's own OpenCV is compiled for numpy 1.
        return (
            f"it was compiled for another numpy ({error})",
            f"{found.interpreter.executable} -m pip install 'numpy<2'",
        )
    return error, f"install it again for this machine's CUDA and Python; see {INSTALLING}"


def pycuda(found: Surroundings) -> Check:
    probed = found.pycuda
    if probed.get("missing"):
        fix = "pip install 'edgekit[jetson]'" if found.machine.is_jetson else "pip install 'edgekit[tensorrt]'"
        state = "problem" if not found.tensorrt.get("error") else "note"
        return Check("pycuda", state, "none", "engines need it for device memory", f"{fix}; see {INSTALLING}")
    if probed.get("error"):
        return Check("pycuda", "problem", "does not load", *_explained(probed["error"], found))
    value = f"{probed.get('version')}, compiled for CUDA {probed.get('cuda', '?')}"
    driver = found.cuda.get("driver")
    if driver and numbers(probed.get("cuda") or "")[:1] > numbers(driver)[:1]:
        meaning = f"compiled for a newer CUDA than the driver supports ({driver})"
        fix = "pip install --force-reinstall --no-cache-dir --no-binary pycuda pycuda, with this machine's toolkit"
        return Check("pycuda", "problem", value, meaning, fix)
    return Check("pycuda", "ok", value, "")


def trtexec(found: Surroundings) -> Check:
    if found.trtexec:
        return Check("trtexec", "ok", found.trtexec, "a bundle's build.sh uses it")
    meaning = "not here: edgekit build does without it, a bundle's build.sh does not"
    fix = "sudo apt install libnvinfer-bin" if found.machine.is_jetson else None
    return Check("trtexec", "note", "none", meaning, fix)


def onnxruntime(found: Surroundings) -> Check:
    meaning = "bundles cannot run on the CPU here; engines do not need it"
    bad = _not_loaded("onnxruntime", found.onnxruntime, found, meaning, "pip install 'edgekit[cpu]'")
    return bad or Check("onnxruntime", "ok", str(found.onnxruntime.get("version")), "bundles run on the CPU here")


def opencv(found: Surroundings) -> Check:
    probed, jetson = found.opencv, found.machine.is_jetson
    fix = "sudo apt install python3-opencv" if jetson else "pip install 'edgekit[cpu]'"
    bad = _not_loaded("OpenCV", probed, found, "no cameras and no run --steady; all else does without it", fix)
    if bad:
        return bad
    if probed.get("gstreamer"):
        return Check("OpenCV", "ok", f"{probed.get('version')} with GStreamer", "USB and CSI cameras")
    meaning = "USB cameras; CSI cameras and GStreamer pipelines need an OpenCV built with GStreamer"
    fix = "pip uninstall opencv-python-headless opencv-python; sudo apt install python3-opencv" if jetson else None
    return Check("OpenCV", "note", f"{probed.get('version')} without GStreamer", meaning, fix)


def pyav(found: Surroundings) -> Check:
    meaning = "no films; images, cameras and bench do without it"
    bad = _not_loaded("PyAV", found.av, found, meaning, "pip install av")
    return bad or Check("PyAV", "ok", str(found.av.get("version")), "films")


def _not_loaded(name: str, probed: dict[str, Any], found: Surroundings, meaning: str, fix: str) -> Check | None:
    """The finding of a package that is not needed for engines and is missing, or does not load; None where it does."""
    if probed.get("missing"):
        return Check(name, "note", "none", meaning, fix)
    if probed.get("error"):
        return Check(name, "warning", "does not load", *_explained(probed["error"], found))
    return None


def _open(found: Surroundings) -> str:
    return (
        f"set include-system-site-packages = true in {found.interpreter.environment}/pyvenv.cfg, "
        "or make the environment with python3 -m venv --system-site-packages"
    )
