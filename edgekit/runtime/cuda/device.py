"""One GPU through pycuda: device memory, pinned memory, streams, events and graphs.

A resource belongs to the device that made it. ``Device.close`` frees what is left, in reverse order; a resource freed
twice, or after its device, is freed once.

One primary context is retained for a device and pushed by whatever thread uses it. A context object per thread would
not do: pycuda refuses to free an object in a thread whose current context object is another one, though the context is
the same, and leaks it. A push and a pop cost about a microsecond.
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.driver_graph import capture_graph, destroy_graph, launch_graph

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no order with the default stream, in which other libraries may work


@dataclass(frozen=True)
class GPU:
    """What a GPU is. ``sm``: compute capability as "8.7"; ``driver``: the CUDA version the driver supports, as "12.6";
    ``cuda``: the CUDA version pycuda was compiled for; memory in bytes; ``integrated``: it is the CPU's memory."""

    name: str
    sm: str
    driver: str
    cuda: str
    memory: int
    integrated: bool


class Device(AbstractContextManager):
    """The first GPU, usable from any thread of the process that opened it.

    EdgekitError, saying what is missing, if no GPU can be used.
    """

    def __init__(self) -> None:
        self._cuda = cuda = _import_pycuda()
        if cuda.Device.count() == 0:
            fix = "check the driver (`nvidia-smi`) and that CUDA_VISIBLE_DEVICES does not hide it"
            raise EdgekitError("CUDA sees no GPU", where="the CUDA driver of this machine", fix=fix)
        device = cuda.Device(0)
        try:
            self._context = device.retain_primary_context()
        except cuda.Error as error:
            raise EdgekitError(
                f"the GPU cannot be opened: {error}",
                where=device.name(),
                fix="close other programs that use the GPU (`nvidia-smi`, or `tegrastats` on a Jetson), then try again",
            ) from error
        self.gpu = GPU(
            name=device.name(),
            sm=".".join(map(str, device.compute_capability())),
            driver=_dotted(cuda.get_driver_version()),
            cuda=".".join(str(part) for part in cuda.get_version()[:2]),
            memory=device.total_memory(),
            integrated=bool(device.get_attribute(cuda.device_attribute.INTEGRATED)),
        )
        self._process = os.getpid()
        self._resources: dict[int, Resource] = {}
        self._closed = False
        # An interpreter that ends without close() would leave pinned memory to destructors that run after CUDA is gone.
        reference = weakref.ref(self)
        self._at_exit = lambda: (device := reference()) is not None and device.close()
        atexit.register(self._at_exit)

    @property
    def forked(self) -> bool:
        """Whether this is a child of the process that opened the device."""
        return os.getpid() != self._process

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the device this thread's current one. May be nested.

        EdgekitError after a fork, ValueError after ``close``.
        """
        if self.forked:
            raise EdgekitError(
                f"the GPU was opened by process {self._process} and is used by its forked child {os.getpid()}; "
                "CUDA does not survive a fork",
                where=f"process {os.getpid()}",
                fix="open it in the process that uses it: load the bundle after the fork, or start workers with "
                "multiprocessing.set_start_method('spawn')",
            )
        if self._closed:
            raise ValueError("the device is closed")
        self._context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    def own(self, resource: Resource) -> None:
        self._resources[id(resource)] = resource

    def disown(self, resource: Resource) -> None:
        self._resources.pop(id(resource), None)

    def close(self) -> None:
        """Free all that is left, latest first, and release the device. Twice is fine.

        Where something cannot be freed, as after a fault on the device, the rest still is; the error is raised at the
        end.
        """
        if self._closed or self.forked:
            return
        with ExitStack() as stack:
            stack.callback(self._release)
            for resource in list(self._resources.values()):
                stack.callback(resource.free)

    def _release(self) -> None:
        self._closed = True
        atexit.unregister(self._at_exit)
        # Detached while it is current: otherwise pycuda detaches only in the thread that retained it.
        self._context.push()
        self._context.detach()

    def __exit__(self, *_: object) -> None:
        self.close()

    def memory_free(self) -> int:
        """Bytes that could still be allocated; on a Jetson the CPU's memory is the same memory."""
        with self.current():
            return self._cuda.mem_get_info()[0]

    def allocate(self, nbytes: int) -> DeviceMemory:
        """EdgekitError, with what is free, where there is not enough."""
        with self.current():
            try:
                allocation = self._cuda.mem_alloc(nbytes)
            except self._cuda.MemoryError as error:
                raise self._out_of_memory(nbytes, "GPU") from error
            return DeviceMemory(self, int(allocation), nbytes, allocation.free)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> PinnedArray:
        """Page-locked host memory. EdgekitError, with what is free, where there is not enough."""
        with self.current():
            try:
                array = self._cuda.pagelocked_empty(shape, dtype)
            except self._cuda.MemoryError as error:
                raise self._out_of_memory(int(np.prod(shape)) * np.dtype(dtype).itemsize, "page-locked") from error
            return PinnedArray(self, array, array.base.free)

    def _out_of_memory(self, nbytes: int, kind: str) -> EdgekitError:
        free = self._cuda.mem_get_info()[0]
        return EdgekitError(
            f"out of {kind} memory: {nbytes / 2**20:.1f} MiB asked for, {free / 2**20:.1f} MiB free",
            where=self.gpu.name,
            fix="close other programs, use a smaller batch, or on a Jetson stop the desktop (`sudo init 3`)",
        )

    def stream(self) -> CudaStream:
        with self.current():
            return CudaStream(self, self._cuda.Stream(NON_BLOCKING))

    def event(self) -> CudaEvent:
        with self.current():
            return CudaEvent(self, self._cuda.Event())

    def upload(self, memory: DeviceMemory, array: np.ndarray, stream: CudaStream) -> None:
        """Queue a copy of a C-contiguous ``array``, which must not change until the stream has done it."""
        _check_copy(memory, array)
        with self.current():
            self._cuda.memcpy_htod_async(memory.address, array, stream.binding)

    def download(self, array: np.ndarray, memory: DeviceMemory, stream: CudaStream) -> None:
        """Queue a copy into a C-contiguous ``array``, to be read once the stream has done it."""
        _check_copy(memory, array)
        with self.current():
            self._cuda.memcpy_dtoh_async(array, memory.address, stream.binding)

    def capture(self, stream: CudaStream, work: Callable[[], None]) -> CudaGraph:
        """Record what ``work`` queues on ``stream``, without running it."""
        with self.current():
            return CudaGraph(self, *capture_graph(stream.handle, work))


class Resource:
    """Something of a device that must be freed once."""

    def __init__(self, device: Device, release: Callable[[], None]):
        self._device = device
        self._release: Callable[[], None] | None = release
        device.own(self)

    @property
    def freed(self) -> bool:
        return self._release is None

    def free(self) -> None:
        """Twice is fine; in a forked child it does nothing, because there it is the parent's."""
        release, self._release = self._release, None
        if release is not None and not self._device.forked:
            self._device.disown(self)
            with self._device.current():
                release()


class DeviceMemory(Resource):
    """``address`` as an integer, ``nbytes``."""

    def __init__(self, device: Device, address: int, nbytes: int, release: Callable[[], None]):
        self.address = address
        self.nbytes = nbytes
        super().__init__(device, release)


class PinnedArray(Resource):
    """Page-locked host memory as a numpy ``array``; only with it are asynchronous copies really asynchronous.

    After ``free`` the array must not be touched.
    """

    def __init__(self, device: Device, array: np.ndarray, release: Callable[[], None]):
        self.array = array
        super().__init__(device, release)


class _Bound(Resource):
    """``binding`` is pycuda's object, which is destroyed with its last reference."""

    def __init__(self, device: Device, binding: Any):
        self.binding = binding
        super().__init__(device, self._drop)

    def _drop(self) -> None:
        self.binding = None

    def synchronize(self) -> None:
        """Wait until all of it is done."""
        with self._device.current():
            self.binding.synchronize()


class CudaStream(_Bound):
    """A queue of work."""

    @property
    def handle(self) -> int:
        """The CUstream as an integer, as TensorRT takes it."""
        return self.binding.handle

    def wait_for(self, event: CudaEvent) -> None:
        """Let what is queued from now on wait for ``event``, without waiting here."""
        with self._device.current():
            self.binding.wait_for_event(event.binding)


class CudaEvent(_Bound):
    """A mark in a stream."""

    def record(self, stream: CudaStream) -> None:
        with self._device.current():
            self.binding.record(stream.binding)

    def milliseconds_since(self, earlier: CudaEvent) -> float:
        """Device time between two recorded and finished events."""
        with self._device.current():
            return self.binding.time_since(earlier.binding)


class CudaGraph(Resource):
    """Captured work that one call launches again."""

    def __init__(self, device: Device, graph: int, executable: int):
        self._executable = executable
        super().__init__(device, lambda: destroy_graph(graph, executable))

    def launch(self, stream: CudaStream) -> None:
        if self.freed:
            raise ValueError("the graph has been freed")
        with self._device.current():
            launch_graph(self._executable, stream.handle)


def _check_copy(memory: DeviceMemory, array: np.ndarray) -> None:
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
            where=f"this Python: {sys.executable}",
            fix="on a Jetson, where pycuda is compiled: export PATH=/usr/local/cuda/bin:$PATH "
            "CPATH=/usr/local/cuda/include, then pip install 'edgekit[jetson]'; "
            "on a workstation: pip install 'edgekit[tensorrt]'",
        ) from None
    except ImportError as error:  # the module is there, a library it needs is not
        if "libcuda.so" in str(error):
            raise EdgekitError(
                f"there is no NVIDIA driver for CUDA here: {error}",
                where="libcuda.so of this machine",
                fix="run this on the machine with the GPU; in a container start it with --runtime nvidia",
            ) from error
        raise EdgekitError(
            f"pycuda does not fit the CUDA that is installed: {error}",
            where=f"this Python: {sys.executable}",
            fix="compile it again: pip install --force-reinstall --no-cache-dir --no-binary pycuda pycuda",
        ) from error
    try:
        cuda.init()
    except cuda.Error as error:
        raise EdgekitError(
            f"CUDA cannot be initialised: {error}",
            where="the CUDA driver of this machine",
            fix="check that this machine has an NVIDIA GPU and its driver works: `nvidia-smi`, or on a Jetson "
            "`cat /etc/nv_tegra_release`; in a container start it with --runtime nvidia",
        ) from error
    return cuda


def _dotted(version: int) -> str:
    """CUDA's integer as people write it.

    >>> _dotted(12060)
    '12.6'
    """
    return f"{version // 1000}.{version % 1000 // 10}"
