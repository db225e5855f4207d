"""CUDA as pycuda shows it, computed on the CPU, stricter than the real one.

Work on a stream waits until someone waits for it: a result read before its stream was synchronised is the old one, and
an input changed too early is the changed one. Nothing works without a current context, in a forked child, or on freed
memory. ``live()`` counts what has not been freed.

Knobs are read from the environment, so that child processes obey them too:
FAKE_GPU_NAME, FAKE_GPU_SM ("8.7"), FAKE_GPU_MEMORY (bytes), FAKE_GPU_COUNT, FAKE_GPU_BUSY (a context cannot be had),
FAKE_GPU_INTEGRATED (1: the memory is the CPU's).
"""

from __future__ import annotations

import enum
import os
import threading
import time
import weakref

import numpy as np


class Error(Exception):
    pass


class MemoryError(Error):
    pass


class LogicError(Error):
    pass


class RuntimeError(Error):
    pass


_initialised_by: int | None = None
_stacks = threading.local()
_lock = threading.RLock()
_memory: dict[int, np.ndarray] = {}  # address -> bytes
_pinned: set[int] = set()
_streams: weakref.WeakValueDictionary[int, Stream] = weakref.WeakValueDictionary()  # dropping one destroys it
_events: set[int] = set()
_next_address = 0x7F00_0000_0000
_next_handle = 0x1000


def live() -> dict[str, int]:
    """How many of each thing have not been freed."""
    import gc

    gc.collect()
    return {"memory": len(_memory), "pinned": len(_pinned), "streams": len(_streams), "events": len(_events)}


def _total() -> int:
    return int(os.environ.get("FAKE_GPU_MEMORY", 8 << 30))


def _used() -> int:
    return sum(block.nbytes for block in _memory.values())


def _check_alive() -> None:
    if _initialised_by != os.getpid():
        raise LogicError("cuCtxGetCurrent failed: initialization error")


def _context() -> Context:
    _check_alive()
    stack = getattr(_stacks, "stack", [])
    if not stack:
        raise LogicError("explicit_context_dependent failed: invalid device context - no currently active context?")
    return stack[-1]


def init(flags: int = 0) -> None:
    global _initialised_by
    if int(os.environ.get("FAKE_GPU_COUNT", 1)) < 0:
        raise RuntimeError("cuInit failed: no CUDA-capable device is detected")
    if _initialised_by is None:
        _initialised_by = os.getpid()
    _check_alive()


def get_version() -> tuple[int, int, int]:
    return (12, 6, 0)


def get_driver_version() -> int:
    return 12060


def mem_get_info() -> tuple[int, int]:
    _context()
    return _total() - _used(), _total()


class device_attribute(enum.Enum):
    INTEGRATED = 18


class Device:
    def __init__(self, index: int):
        _check_alive()
        self._index = index

    @staticmethod
    def count() -> int:
        return int(os.environ.get("FAKE_GPU_COUNT", 1))

    def name(self) -> str:
        return os.environ.get("FAKE_GPU_NAME", "fake GPU, computed by onnxruntime")

    def compute_capability(self) -> tuple[int, int]:
        major, _, minor = os.environ.get("FAKE_GPU_SM", "8.7").partition(".")
        return int(major), int(minor)

    def total_memory(self) -> int:
        return _total()

    def get_attribute(self, attribute: device_attribute) -> int:
        return {device_attribute.INTEGRATED: int(os.environ.get("FAKE_GPU_INTEGRATED", 1))}[attribute]

    def retain_primary_context(self) -> Context:
        if os.environ.get("FAKE_GPU_BUSY"):
            raise LogicError("cuDevicePrimaryCtxRetain failed: all CUDA-capable devices are busy or unavailable")
        return Context()


class Context:
    def __init__(self):
        self._valid = True
        self._thread = threading.get_ident()

    def push(self) -> None:
        _check_alive()
        if not self._valid:
            raise LogicError("cuCtxPushCurrent failed: invalid device context")
        if not hasattr(_stacks, "stack"):
            _stacks.stack = []
        _stacks.stack.append(self)

    @staticmethod
    def pop() -> None:
        _context()
        _stacks.stack.pop()

    def detach(self) -> None:
        stack = getattr(_stacks, "stack", [])
        if not (stack and stack[-1] is self) and self._thread != threading.get_ident():
            return  # as in pycuda: leaked without a word
        self._valid = False
        while self in stack:
            stack.remove(self)


class _Dependent:
    """What pycuda frees only where its own context object is current, or in the thread that made that object."""

    def __init__(self):
        self._owner = _context()

    def _activate(self) -> None:
        _check_alive()
        stack = getattr(_stacks, "stack", [])
        current = stack[-1] if stack else None
        if current is not self._owner and self._owner._thread != threading.get_ident():
            raise LogicError("cannot activate out-of-thread context")
        if not self._owner._valid:
            raise LogicError("cannot activate dead context")


class DeviceAllocation(_Dependent):
    def __init__(self, address: int):
        super().__init__()
        self._address = address

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._activate()
        if _memory.pop(self._address, None) is None:
            raise LogicError("device_allocation::free failed: invalid resource handle")


def mem_alloc(nbytes: int) -> DeviceAllocation:
    global _next_address
    _context()
    if nbytes <= 0:
        raise LogicError("cuMemAlloc failed: invalid argument")
    if _used() + nbytes > _total():
        raise MemoryError("cuMemAlloc failed: out of memory")
    with _lock:
        address = _next_address
        _next_address += (nbytes + 511) // 512 * 512 + 512
        _memory[address] = np.full(nbytes, 0xCD, np.uint8)  # never zero by luck
    return DeviceAllocation(address)


def device_bytes(address: int, nbytes: int) -> np.ndarray:
    """The ``nbytes`` of device memory at an address, for the fake TensorRT. LogicError outside of what is allocated."""
    with _lock:
        for start, block in _memory.items():
            if start <= address < start + block.nbytes:
                if address + nbytes > start + block.nbytes:
                    break
                return block[address - start : address - start + nbytes]
    raise LogicError("an illegal memory access was encountered")


class PagelockedHostAllocation(_Dependent):
    def __init__(self, block: np.ndarray):
        super().__init__()
        self._block = block
        self.__array_interface__ = block.__array_interface__
        _pinned.add(id(self))

    def free(self) -> None:
        self._activate()
        if id(self) not in _pinned:
            raise LogicError("cuMemFreeHost failed: invalid argument")
        _pinned.discard(id(self))
        self._block.reshape(-1).view(np.uint8)[...] = 0xEE  # what reads it afterwards shall see it


def pagelocked_empty(shape, dtype, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    _context()
    return np.asarray(PagelockedHostAllocation(np.empty(shape, dtype, order)))  # its base is the allocation


class Stream(_Dependent):
    def __init__(self, flags: int = 0):
        global _next_handle
        super().__init__()
        with _lock:
            self.handle = _next_handle
            _next_handle += 0x10
        self._queue: list = []
        self._captured: list | None = None
        _streams[self.handle] = self

    def enqueue(self, work) -> None:
        _context()
        with _lock:
            (self._queue if self._captured is None else self._captured).append(work)

    def _run(self, until=None) -> None:
        with _lock:
            while self._queue:
                work = self._queue.pop(0)
                work()
                if work is until:
                    return

    def synchronize(self) -> None:
        _context()
        if self._captured is not None:
            raise LogicError("cuStreamSynchronize failed: operation not permitted when stream is capturing")
        self._run()

    def wait_for_event(self, event: Event) -> None:
        mark = event._mark
        self.enqueue(lambda: mark and mark.reach())

    def is_done(self) -> bool:
        return not self._queue


def stream_of(handle: int) -> Stream:
    """The stream of a handle, for the fake TensorRT and the fake libcuda."""
    if handle not in _streams:
        raise LogicError("invalid resource handle")
    return _streams[handle]


class _Mark:
    """One recording of an event; as work in a stream it notes the time."""

    def __init__(self, stream: Stream):
        self.stream = stream
        self.time: float | None = None

    def __call__(self) -> None:
        self.time = time.perf_counter()

    def reach(self) -> None:
        """Run its stream up to it."""
        if self.time is None:
            self.stream._run(until=self)


class Event(_Dependent):
    def __init__(self, flags: int = 0):
        super().__init__()
        self._mark: _Mark | None = None
        _events.add(id(self))

    def __del__(self):
        _events.discard(id(self))

    def record(self, stream: Stream | None = None) -> Event:
        self._mark = _Mark(stream)
        stream.enqueue(self._mark)
        return self

    def synchronize(self) -> Event:
        _context()
        if self._mark is not None:
            self._mark.reach()
        return self

    def query(self) -> bool:
        return self._mark is None or self._mark.time is not None

    def time_since(self, other: Event) -> float:
        _context()
        if self._mark is None or other._mark is None:
            raise LogicError("cuEventElapsedTime failed: invalid resource handle")
        if self._mark.time is None or other._mark.time is None:
            raise LogicError("cuEventElapsedTime failed: device not ready")
        return (self._mark.time - other._mark.time) * 1000.0


def memcpy_htod_async(dest: int, src: np.ndarray, stream: Stream | None = None) -> None:
    device_bytes(int(dest), src.nbytes)

    def copy() -> None:
        device_bytes(int(dest), src.nbytes)[...] = np.ascontiguousarray(src).reshape(-1).view(np.uint8)

    stream.enqueue(copy)


def memcpy_dtoh_async(dest: np.ndarray, src: int, stream: Stream | None = None) -> None:
    device_bytes(int(src), dest.nbytes)
    stream.enqueue(lambda: np.copyto(dest.reshape(-1).view(np.uint8), device_bytes(int(src), dest.nbytes)))
