"""The doctor's checks: a healthy board, and every way it can be unfit, one at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.boards.clocks import Clock, Clocks
from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.boards.memory import Memory
from edgekit.boards.power import PowerMode
from edgekit.boards.table import table
from edgekit.engine.doctor.diagnosis import diagnose

GIB = 2**30


def check(found, name):
    (one,) = [check for check in diagnose(found).checks if check.name == name]
    return one


def on(found, **machine):
    return replace(found, machine=replace(found.machine, **machine))


def test_a_healthy_board(healthy):
    diagnosis = diagnose(healthy)
    assert {c.name: c.state for c in diagnosis.checks if c.state != "ok"} == {}
    assert diagnosis.can_build and diagnosis.can_run_on_cpu
    values = {c.name: c.value for c in diagnosis.checks}
    assert values["board"] == "Jetson Orin NX 16 GB (orin-nx-16gb)"
    assert values["JetPack"] == "JetPack 6.2, L4T 36.4.3"
    assert values["TensorRT"].startswith("10.3.0") and values["clocks"] == "GPU 918 MHz, locked"
    assert values["power mode"] == "MAXN (nvpmodel -m 0)" and values["memory"] == "12.0 of 15.3 GiB available"


def test_every_line_is_there_whatever_the_machine(healthy):
    lines = {
        "board", "JetPack", "Python", "GPU", "CUDA", "TensorRT", "pycuda", "trtexec", "onnxruntime", "OpenCV", "PyAV",
        "power mode", "clocks", "fan", "memory", "swap", "disk",
    }  # fmt: skip
    document = diagnose(healthy).to_json()
    assert {c["name"] for c in document["checks"]} == lines and document["can_build"] is True


# --- what blocks building -----------------------------------------------------------------------------------------


def hidden(found):
    alone = replace(found.interpreter, sees_system=False)
    missing = {"error": "No module named 'tensorrt'", "missing": True}
    return replace(found, interpreter=alone, tensorrt=missing)


def test_a_system_tensorrt_hidden_by_an_environment(healthy):
    found = check(hidden(healthy), "TensorRT")
    assert found.state == "problem" and found.value == "hidden"
    assert "/usr/lib/python3.10/dist-packages/tensorrt" in found.meaning
    assert "include-system-site-packages = true in /home/u/env/pyvenv.cfg" in found.fix
    assert check(hidden(healthy), "Python").state == "warning"


def test_no_tensorrt_at_all(healthy):
    missing = {"error": "No module named 'tensorrt'", "missing": True}
    found = check(replace(healthy, tensorrt=missing, system_tensorrt=None), "TensorRT")
    assert found.state == "problem" and "python3-libnvinfer" in found.fix and "never pip install" in found.fix


def test_a_tensorrt_for_another_python(healthy):
    missing = {"error": "No module named 'tensorrt'", "missing": True}
    found = replace(healthy, tensorrt=missing, interpreter=replace(healthy.interpreter, version="3.12.1"))
    assert check(found, "TensorRT").value == "for another Python"
    python = check(found, "Python")
    assert python.state == "problem" and "python3.10 -m venv --system-site-packages" in python.fix


def test_jetpack_5_is_served_by_its_scripts(healthy):
    found = on(healthy, jetpack=find_jetpack("5.1"), jetpack_version="5.1.2", l4t="35.4.1")
    python = check(found, "Python")
    assert python.state == "problem" and "build.sh" in python.fix and "examples/infer_trt.py" in python.fix


def test_a_tensorrt_from_pip_hides_jetpacks(healthy):
    pip = {"version": "10.13.3", "file": "/home/u/env/lib/python3.10/site-packages/tensorrt/__init__.py"}
    found = check(replace(healthy, tensorrt=pip), "TensorRT")
    assert found.state == "problem" and "pip uninstall tensorrt" in found.fix


def test_a_tensorrt_that_is_too_old(healthy):
    old = {**healthy.tensorrt, "version": "8.4.1"}
    assert "needs TensorRT 8.5" in check(replace(healthy, tensorrt=old), "TensorRT").meaning


def test_a_library_of_another_cuda(healthy):
    said = "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory"
    found = check(replace(healthy, tensorrt={"error": said, "missing": False}), "TensorRT")
    assert found.state == "problem" and found.value == "does not load"
    assert "needs libcudart of version 13, which is not here; here is CUDA 12.6" in found.meaning


@pytest.mark.parametrize("said", ["ImportError: undefined symbol: cuGraph", "importing it ends Python with SIGSEGV"])
def test_a_tensorrt_that_breaks(healthy, said):
    found = check(replace(healthy, tensorrt={"error": said, "missing": False}), "TensorRT")
    assert found.state == "problem" and said in found.meaning and "install it again" in found.fix


def test_a_cuda_newer_than_the_driver(healthy):
    newer = {**healthy.tensorrt, "libraries": ["libcudart.so.13.0.48", "libnvinfer.so.10"]}
    found = check(replace(healthy, tensorrt=newer), "CUDA")
    assert found.state == "problem" and "the runtime of CUDA 13, newer than the driver supports" in found.meaning
    assert check(replace(healthy, toolkit="13.0"), "CUDA").state == "warning"
    older = {**healthy.tensorrt, "libraries": ["libcudart.so.11.0"]}
    assert check(replace(healthy, tensorrt=older), "CUDA").state == "ok"


def test_no_driver(healthy):
    cuda = {"error": "libcuda.so.1: cannot open shared object file", "missing": True}
    found = check(replace(healthy, cuda=cuda), "GPU")
    assert found.state == "problem" and "--runtime nvidia" in found.fix
    assert check(replace(healthy, cuda=cuda), "CUDA").state == "note"


@pytest.mark.parametrize(
    "cuda",
    [
        {"driver": "12.6", "error": "CUDA error 100: no CUDA-capable device is detected", "missing": False},
        {"driver": "12.6", "gpus": []},
    ],
)
def test_a_driver_without_a_gpu(healthy, cuda):
    found = check(replace(healthy, cuda=cuda), "GPU")
    assert found.state == "problem" and "nvidia" in found.fix


def test_pycuda(healthy):
    missing = {"error": "No module named 'pycuda'", "missing": True}
    assert check(replace(healthy, pycuda=missing), "pycuda").state == "problem"
    # with no TensorRT either, it is not what stands in the way
    assert check(replace(healthy, pycuda=missing, tensorrt=missing), "pycuda").state == "note"
    newer = {"version": "2025.1", "cuda": "13.0"}
    assert "newer CUDA than the driver supports (12.6)" in check(replace(healthy, pycuda=newer), "pycuda").meaning
    broken = {"error": "ImportError: libcurand.so.11: cannot open shared object file: No such file", "missing": False}
    assert "libcurand of version 11" in check(replace(healthy, pycuda=broken), "pycuda").meaning


@pytest.mark.parametrize(("available", "state"), [(0.5, "problem"), (1.5, "warning"), (3.0, "ok")])
def test_memory(healthy, available, state):
    found = on(healthy, memory=Memory(8 * GIB, int(available * GIB), 0, 0))
    assert check(found, "memory").state == state
    assert (not diagnose(found).can_build) == (state == "problem")


@pytest.mark.parametrize(("free", "state"), [(0.1, "problem"), (1.0, "warning"), (9.0, "ok")])
def test_disk(healthy, free, state):
    assert check(replace(healthy, free=int(free * GIB)), "disk").state == state


@pytest.mark.parametrize("name", ["nano", "tx2"])
def test_boards_that_are_not_supported(healthy, name):
    found = check(on(healthy, board=table().old_boards[name]), "board")
    assert found.state == "problem" and "JetPack 4.6" in found.meaning


def test_a_jetpack_that_is_too_old(healthy):
    found = check(on(healthy, jetpack=table().old_jetpacks["5.0"], jetpack_version=None, l4t="35.1.0"), "JetPack")
    assert found.state == "problem" and found.value == "JetPack 5.0, L4T 35.1.0" and "5.1" in found.fix


# --- what makes things worse, or is only worth knowing ----------------------------------------------------------------


def test_clocks_that_move(healthy):
    moving = Clocks((Clock("GPU", 306_000_000, 918_000_000, 306_000_000),))
    found = check(on(healthy, clocks=moving), "clocks")
    assert (found.state, found.value) == ("warning", "GPU 306 to 918 MHz") and "sudo jetson_clocks" in found.fix
    assert check(on(healthy, clocks=Clocks()), "clocks").state == "warning"


def test_power_modes(healthy):
    assert "capped" in check(on(healthy, power=PowerMode("15W", 2)), "power mode").meaning
    assert check(on(healthy, power=None), "power mode").state == "warning"


def test_swap_matters_on_small_boards(healthy):
    none = Memory(8 * GIB, 5 * GIB, 0, 0)
    small = on(healthy, board=find_board("orin-nano-8gb"), memory=none)
    assert check(small, "swap").state == "warning" and "mkswap" in check(small, "swap").fix
    assert check(on(healthy, memory=none), "swap").state == "ok"


def test_jetpacks_that_surprise(healthy):
    assert check(on(healthy, jetpack=None, jetpack_version=None, l4t="44.1"), "JetPack").state == "warning"
    found = check(on(healthy, jetpack=find_jetpack("7.0")), "JetPack")
    assert found.state == "warning" and "not known to run on this board" in found.meaning
    updated = {**healthy.tensorrt, "version": "10.7.0"}
    assert check(replace(healthy, tensorrt=updated), "TensorRT").state == "warning"


def test_a_jetson_that_is_not_in_the_table(healthy):
    found = check(on(healthy, board=None, model="NVIDIA Jetson Future"), "board")
    assert found.state == "warning" and found.value == "NVIDIA Jetson Future"


def test_extras_are_notes(healthy):
    missing = {"error": "No module named 'x'", "missing": True}
    found = replace(healthy, opencv=missing, av=missing, onnxruntime=missing, trtexec=None)
    assert {c.name for c in diagnose(found).checks if c.state == "note"} == {"OpenCV", "PyAV", "onnxruntime", "trtexec"}
    assert diagnose(found).can_build and not diagnose(found).can_run_on_cpu
    plain = replace(healthy, opencv={"version": "5.0", "gstreamer": False})
    assert "CSI cameras" in check(plain, "OpenCV").meaning and "python3-opencv" in check(plain, "OpenCV").fix


def test_an_opencv_for_another_numpy(healthy):
    said = {"error": "ImportError: numpy.core.multiarray failed to import", "missing": False}
    found = check(replace(healthy, opencv=said), "OpenCV")
    assert found.state == "warning" and "pip install 'numpy<2'" in found.fix


def test_a_laptop(healthy):
    """Nothing of a Jetson: no complaint about what it need not have, and a clear word on what it cannot."""
    nothing = {"error": "No module named 'x'", "missing": True}
    laptop = replace(
        on(healthy, model=None, board=None, l4t=None, jetpack=None, jetpack_version=None, power=None, clocks=Clocks(),
           fan=None),
        tensorrt=nothing, pycuda=nothing, cuda=nothing, system_tensorrt=None, toolkit=None, trtexec=None,
    )  # fmt: skip
    diagnosis = diagnose(laptop)
    assert [c.name for c in diagnosis.problems] == ["GPU", "TensorRT"]
    assert not [c for c in diagnosis.checks if c.state == "warning"]
    assert diagnosis.can_run_on_cpu


@pytest.mark.parametrize("state", ["warning", "problem"])
def test_whatever_is_wrong_has_a_fix(healthy, state):
    for broken in (hidden(healthy), on(healthy, memory=Memory()), replace(healthy, free=0), on(healthy, power=None)):
        assert all(c.fix and c.meaning for c in diagnose(broken).checks if c.state == state)
