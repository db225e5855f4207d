"""The device-memory interface through pycuda.

One primary context is retained for a device and pushed by whatever thread uses it. A context object per thread would
not do: pycuda refuses to free an object in a thread whose current context object is another one, though the context is
the same, and leaks it. A push and a pop cost about a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import GPU, Device, Event, Graph, Memory, Pinned, Stream
from edgekit.runtime.cuda.driver_graph import DriverGraph, capture_graph

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no order with the default stream, in which other libraries may work


class PycudaDevice(Device):
    """The GPU of that index. EdgekitError, saying what is missing, where there is none to be used."""

    def __init__(self, index: int = 0):
        self._cuda = cuda = _import_pycuda()
        count = _count(cuda)
        if not 0 <= index < count:
            raise EdgekitError(
                f"there is no GPU {index}: CUDA sees {count}",
                fix="choose a lower index, or check CUDA_VISIBLE_DEVICES",
            )
        device = cuda.Device(index)
        try:
            self._context = device.retain_primary_context()
        except cuda.Error as error:
            raise EdgekitError(
                f"the GPU cannot be opened: {error}",
                where=device.name(),
                fix="close other programs that use the GPU (`nvidia-smi`, or `tegrastats` on a Jetson), then try again",
            ) from error
        major, minor = device.compute_capability()
        self.gpu = GPU(
            name=device.name(),
            sm=f"{major}.{minor}",
            driver=_dotted(cuda.get_driver_version()),
            cuda=".".join(str(part) for part in cuda.get_version()[:2]),
            memory=device.total_memory(),
            integrated=bool(device.get_attribute(cuda.device_attribute.INTEGRATED)),
        )
        super().__init__()

    def _push(self) -> None:
        self._context.push()

    def _pop(self) -> None:
        self._cuda.Context.pop()

    def _detach(self) -> None:
        # Detached while it is current, for from outside pycuda detaches in the thread that retained it and in no other.
        self._context.push()
        self._context.detach()

    def memory_free(self) -> int:
        with self.current():
            return self._cuda.mem_get_info()[0]

    def allocate(self, nbytes: int) -> Memory:
        with self.current():
            try:
                allocation = self._cuda.mem_alloc(nbytes)
            except self._cuda.MemoryError as error:
                raise self._out_of_memory(nbytes, "GPU") from error
            return Memory(self, int(allocation), nbytes, allocation.free)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> Pinned:
        with self.current():
            try:
                array = self._cuda.pagelocked_empty(shape, dtype)
            except self._cuda.MemoryError as error:
                raise self._out_of_memory(int(np.prod(shape)) * np.dtype(dtype).itemsize, "page-locked") from error
            return Pinned(self, array, array.base.free)

    def _out_of_memory(self, nbytes: int, sort: str) -> EdgekitError:
        free = self._cuda.mem_get_info()[0]
        return EdgekitError(
            f"out of {sort} memory: {nbytes / 2**20:.1f} MiB asked for, {free / 2**20:.1f} MiB free",
            where=self.gpu.name,
            fix="close other programs, use a smaller batch, or on a Jetson stop the desktop (`sudo init 3`)",
        )

    def stream(self) -> Stream:
        with self.current():
            return _Stream(self, self._cuda.Stream(NON_BLOCKING))

    def event(self) -> Event:
        with self.current():
            return _Event(self, self._cuda.Event())

    def upload(self, memory: Memory, array: np.ndarray, stream: Stream) -> None:
        _check_copy(memory, array)
        with self.current():
            self._cuda.memcpy_htod_async(memory.address, array, stream.binding)

    def download(self, array: np.ndarray, memory: Memory, stream: Stream) -> None:
        _check_copy(memory, array)
        with self.current():
            self._cuda.memcpy_dtoh_async(array, memory.address, stream.binding)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        with self.current():
            return DriverGraph(self, *capture_graph(stream.handle, work))


class _Stream(Stream):
    def __init__(self, device: PycudaDevice, stream: Any):
        self.binding = stream
        self.handle = stream.handle
        super().__init__(device, self._drop)

    def _drop(self) -> None:
        self.binding = None  # pycuda destroys a stream with its last reference

    def synchronize(self) -> None:
        with self._device.current():
            self.binding.synchronize()

    def wait_for(self, event: Event) -> None:
        with self._device.current():
            self.binding.wait_for_event(event.binding)


class _Event(Event):
    def __init__(self, device: PycudaDevice, event: Any):
        self.binding = event
        super().__init__(device, self._drop)

    def _drop(self) -> None:
        self.binding = None

    def record(self, stream: Stream) -> None:
        with self._device.current():
            self.binding.record(stream.binding)

    def synchronize(self) -> None:
        with self._device.current():
            self.binding.synchronize()

    def milliseconds_since(self, earlier: Event) -> float:
        with self._device.current():
            return self.binding.time_since(earlier.binding)


def _check_copy(memory: Memory, array: np.ndarray) -> None:
    if memory.freed:
        raise ValueError("the device memory has been freed")
    if array.nbytes > memory.nbytes:
        raise ValueError(f"a copy of {array.nbytes} bytes does not fit device memory of {memory.nbytes}")
    if not array.flags.c_contiguous:
        raise ValueError("a copy needs a C-contiguous array")


def _import_pycuda() -> Any:
    """``pycuda.driver``, initialised. EdgekitError with the reason where it cannot be."""
    try:
        import pycuda.driver as cuda
    except ModuleNotFoundError as error:
        if error.name not in ("pycuda", "pycuda.driver"):
            raise
        raise EdgekitError(
            "the TensorRT backend needs the package 'pycuda', which is not installed",
            fix="on a Jetson, where pycuda is compiled: export PATH=/usr/local/cuda/bin:$PATH "
            "CPATH=/usr/local/cuda/include, then pip install 'edgekit[jetson]'; "
            "on a workstation: pip install 'edgekit[tensorrt]'",
        ) from None
    except ImportError as error:  # the module is there, a library it needs is not
        raise _broken_import(error) from error
    try:
        cuda.init()
    except cuda.Error as error:
        raise EdgekitError(
            f"CUDA cannot be initialised: {error}",
            fix="check that this machine has an NVIDIA GPU and its driver works: `nvidia-smi`, or on a Jetson "
            "`cat /etc/nv_tegra_release`; in a container start it with --runtime nvidia",
        ) from error
    return cuda


def _broken_import(error: ImportError) -> EdgekitError:
    said = str(error)
    if "libcuda.so" in said:
        return EdgekitError(
            f"there is no NVIDIA driver for CUDA here: {said}",
            fix="run this on the machine with the GPU; in a container start it with --runtime nvidia",
        )
    return EdgekitError(
        f"pycuda does not fit the CUDA that is installed: {said}",
        fix="compile it anew: pip install --force-reinstall --no-cache-dir --no-binary pycuda pycuda",
    )


def _count(cuda: Any) -> int:
    count = cuda.Device.count()
    if count == 0:
        raise EdgekitError(
            "CUDA sees no GPU", fix="check the driver (`nvidia-smi`) and that CUDA_VISIBLE_DEVICES does not hide it"
        )
    return count


def _dotted(version: int) -> str:
    """CUDA's integer as people write it.

    >>> _dotted(12060)
    '12.6'
    """
    return f"{version // 1000}.{version % 1000 // 10}"
