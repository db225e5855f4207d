"""The device-memory interface: what a runtime needs of a GPU, whatever the Python binding.

A resource (memory, pinned buffer, stream, event, graph) belongs to the device it was made by. ``Device.close`` frees
what is left, in reverse order; a resource freed twice, or after its device, is freed once.
"""

from __future__ import annotations

import atexit
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError


@dataclass(frozen=True)
class GPU:
    """What a GPU is. ``sm``: compute capability as "8.7"; ``driver``: the CUDA version the driver serves, as "12.6";
    ``cuda``: the CUDA version the binding was compiled for; memory in bytes; ``integrated``: it is the CPU's memory."""

    name: str
    sm: str
    driver: str
    cuda: str
    memory: int
    integrated: bool


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
        """Give it back. Twice is fine; in a forked child it does nothing, for there it is the parent's."""
        release, self._release = self._release, None
        if release is not None and not self._device.forked:
            self._device.disown(self)
            with self._device.current():
                release()


class Memory(Resource):
    """Device memory: ``address`` as an integer, ``nbytes``."""

    def __init__(self, device: Device, address: int, nbytes: int, release: Callable[[], None]):
        self.address = address
        self.nbytes = nbytes
        super().__init__(device, release)


class Pinned(Resource):
    """Page-locked host memory as a numpy ``array``; only with it are asynchronous copies really asynchronous.

    After ``free`` the array must not be touched.
    """

    def __init__(self, device: Device, array: np.ndarray, release: Callable[[], None]):
        self.array = array
        super().__init__(device, release)


class Stream(Resource, ABC):
    """A queue of work. ``handle`` is the CUstream as an integer, as TensorRT takes it."""

    handle: int

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all of it is done."""

    @abstractmethod
    def wait_for(self, event: Event) -> None:
        """Let what is queued from now on wait for ``event``, without waiting here."""


class Event(Resource, ABC):
    """A mark in a stream."""

    @abstractmethod
    def record(self, stream: Stream) -> None: ...

    @abstractmethod
    def synchronize(self) -> None: ...

    @abstractmethod
    def milliseconds_since(self, earlier: Event) -> float:
        """Device time between two recorded and finished events."""


class Graph(Resource, ABC):
    """Captured work that one call launches again."""

    @abstractmethod
    def launch(self, stream: Stream) -> None: ...


class Device(ABC):
    """One GPU, usable from any thread of the process that opened it."""

    gpu: GPU

    def __init__(self) -> None:
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
        """Make the device this thread's current one. May be nested. EdgekitError after a fork or after ``close``."""
        if self.forked:
            raise EdgekitError(
                f"the GPU was opened by process {self._process} and is used by its forked child {os.getpid()}; "
                "CUDA does not survive a fork",
                fix="open it in the process that uses it: load the bundle after the fork, or start workers with "
                "multiprocessing.set_start_method('spawn')",
            )
        if self._closed:
            raise ValueError("the device is closed")
        self._push()
        try:
            yield
        finally:
            self._pop()

    def own(self, resource: Resource) -> None:
        self._resources[id(resource)] = resource

    def disown(self, resource: Resource) -> None:
        self._resources.pop(id(resource), None)

    def close(self) -> None:
        """Free all that is left, latest first, and let go of the device. Twice is fine.

        What cannot be freed, as after a fault on the device, does not keep the rest; its error is raised at the end.
        """
        if self._closed or self.forked:
            return
        with ExitStack() as stack:
            stack.callback(self._let_go)
            for resource in list(self._resources.values()):
                stack.callback(resource.free)

    def _let_go(self) -> None:
        self._closed = True
        atexit.unregister(self._at_exit)
        self._detach()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @abstractmethod
    def _push(self) -> None: ...

    @abstractmethod
    def _pop(self) -> None: ...

    @abstractmethod
    def _detach(self) -> None: ...

    @abstractmethod
    def memory_free(self) -> int:
        """Bytes that could still be allocated; on a Jetson the CPU's memory is the same memory."""

    @abstractmethod
    def allocate(self, nbytes: int) -> Memory:
        """EdgekitError, with what is free, where there is not enough."""

    @abstractmethod
    def pinned(self, shape: tuple[int, ...], dtype: Any) -> Pinned: ...

    @abstractmethod
    def stream(self) -> Stream: ...

    @abstractmethod
    def event(self) -> Event: ...

    @abstractmethod
    def upload(self, memory: Memory, array: np.ndarray, stream: Stream) -> None:
        """Queue a copy of a C-contiguous ``array``, which must stay as it is until the stream has got there."""

    @abstractmethod
    def download(self, array: np.ndarray, memory: Memory, stream: Stream) -> None:
        """Queue a copy into a C-contiguous ``array``, to be read once the stream has got there."""

    @abstractmethod
    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Record what ``work`` queues on ``stream``, without running it."""
