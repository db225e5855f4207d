"""Memory, streams and events over the fake CUDA: order, threads, forks, and that everything is freed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import Device


def test_what_was_copied_in_comes_out(device):
    array = np.arange(24, dtype=np.float32)
    memory, stream = device.allocate(array.nbytes), device.stream()
    out = device.pinned((24,), np.float32)
    device.upload(memory, array, stream)
    device.download(out.array, memory, stream)
    stream.synchronize()
    assert np.array_equal(out.array, array)


def test_nothing_is_there_before_the_stream_was_waited_for(device):
    memory, stream = device.allocate(4), device.stream()
    out = np.zeros(4, np.uint8)
    device.upload(memory, np.full(4, 7, np.uint8), stream)
    device.download(out, memory, stream)
    assert out.tolist() == [0, 0, 0, 0]
    stream.synchronize()
    assert out.tolist() == [7, 7, 7, 7]


def test_a_stream_waits_for_an_event_of_another(device):
    first, second, event = device.stream(), device.stream(), device.event()
    memory, out = device.allocate(1), np.zeros(1, np.uint8)
    device.upload(memory, np.array([9], np.uint8), first)
    event.record(first)
    second.wait_for(event)
    device.download(out, memory, second)
    second.synchronize()
    assert out[0] == 9


def test_events_measure_in_order(device):
    stream, start, end = device.stream(), device.event(), device.event()
    start.record(stream)
    end.record(stream)
    end.synchronize()
    assert end.milliseconds_since(start) >= 0 >= start.milliseconds_since(end)


def test_what_a_gpu_says_of_itself(device):
    gpu = device.gpu
    assert (gpu.name, gpu.sm) == ("fake GPU, computed by onnxruntime", "8.7")
    assert (gpu.driver, gpu.cuda, gpu.integrated) == ("12.6", "12.6", True)
    free = device.memory_free()
    memory = device.allocate(1000)
    assert device.memory_free() == free - 1000
    memory.free()
    assert device.memory_free() == free


def test_every_thread_may_use_and_free_it(device):
    memory = device.allocate(8)
    wrong: list[BaseException] = []

    def work(i: int) -> None:
        try:
            own, stream, out = device.allocate(8), device.stream(), np.zeros(8, np.uint8)
            device.upload(own, np.full(8, i, np.uint8), stream)
            device.download(out, own, stream)
            stream.synchronize()
            assert out.tolist() == [i] * 8
            if i == 3:
                memory.free()  # made by another thread
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and memory.freed


def test_closing_in_another_thread_frees_all(cuda):
    device = Device()
    device.allocate(8), device.pinned((3,), np.uint8), device.stream(), device.event()
    thread = threading.Thread(target=device.close)
    thread.start()
    thread.join()
    assert set(cuda.live().values()) == {0}
    assert not device._context._valid  # and the primary context was let go of, not leaked
    device.close()
    with pytest.raises(ValueError, match="closed"):
        device.allocate(1)


def test_freeing_twice_frees_once(device, cuda):
    memory = device.allocate(8)
    before = sum(cuda.live().values())
    memory.free()
    once = sum(cuda.live().values())
    memory.free()
    assert sum(cuda.live().values()) == once < before


def test_an_error_inside_frees_all(cuda):
    with pytest.raises(ZeroDivisionError), Device() as device:
        device.allocate(8)
        raise ZeroDivisionError
    assert set(cuda.live().values()) == {0}


def test_what_cannot_be_freed_does_not_keep_the_rest(cuda, monkeypatch):
    device = Device()
    first, broken, last = device.allocate(8), device.allocate(8), device.allocate(8)

    def fail() -> None:
        raise cuda.LogicError("cuMemFree failed: an illegal address")

    monkeypatch.setattr(broken, "_release", fail)
    with pytest.raises(cuda.LogicError, match="illegal address"):
        device.close()
    assert first.freed and last.freed and not device._context._valid
    device.close()
    cuda._memory.clear()


def test_an_exit_without_close_frees_all(cuda):
    code = """
import atexit
import pycuda.driver as cuda
atexit.register(lambda: print(sorted(cuda.live().values())))  # runs after what is registered later
from edgekit.runtime.cuda.device import Device
device = Device()
memory, pinned = device.allocate(8), device.pinned((3,), "uint8")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[0, 0, 0, 0]\n", "")


def test_use_after_fork_is_refused(cuda):
    code = """
import os
from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import Device
device = Device()
memory = device.allocate(8)
child = os.fork()
if child == 0:
    memory.free()   # the parent's: nothing happens
    device.close()
    try:
        device.allocate(8)
    except EdgekitError as error:
        os.write(1, str(error).encode())
    os._exit(0)
os.waitpid(child, 0)
device.allocate(8)  # the parent goes on
device.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CUDA does not survive a fork" in done.stdout and "spawn" in done.stdout


def test_too_little_memory_says_how_much(cuda, monkeypatch):
    monkeypatch.setenv("FAKE_GPU_MEMORY", str(10 << 20))
    with Device() as device:
        device.allocate(4 << 20)
        with pytest.raises(EdgekitError, match=r"out of GPU memory: 8\.0 MiB asked for, 6\.0 MiB free"):
            device.allocate(8 << 20)


def test_a_copy_must_fit_and_be_contiguous(device):
    memory, stream = device.allocate(8), device.stream()
    with pytest.raises(ValueError, match="does not fit"):
        device.upload(memory, np.zeros(9, np.uint8), stream)
    with pytest.raises(ValueError, match="C-contiguous"):
        device.upload(memory, np.zeros((4, 4), np.uint8)[:, :2], stream)
    memory.free()
    with pytest.raises(ValueError, match="freed"):
        device.download(np.zeros(8, np.uint8), memory, stream)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FAKE_GPU_COUNT", "-1", "cannot be initialised: cuInit failed: no CUDA-capable device"),
        ("FAKE_GPU_COUNT", "0", "CUDA sees no GPU"),
        ("FAKE_GPU_BUSY", "1", "cannot be opened: cuDevicePrimaryCtxRetain failed"),
    ],
)
def test_a_gpu_that_cannot_be_had(cuda, monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    with pytest.raises(EdgekitError, match=said) as raised:
        Device()
    assert raised.value.fix


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ModuleNotFoundError(\"No module named 'pycuda'\", name='pycuda')", "needs the package 'pycuda'"),
        ("ImportError('libcuda.so.1: cannot open shared object file')", "no NVIDIA driver for CUDA"),
        ("ImportError('libcurand.so.10: cannot open shared object file')", "does not fit the CUDA"),
    ],
)
def test_a_pycuda_that_does_not_import(tmp_path, raised, said):
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda/__init__.py").write_text("")
    (tmp_path / "pycuda/driver.py").write_text(f"raise {raised}")
    code = "from edgekit.runtime.cuda.device import Device\nDevice()"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "EdgekitError" in done.stderr and said in done.stderr
