"""What a backend may offer beyond running: a look inside one query, with the terms and definitions of trtexec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

PARTS = ("h2d", "compute", "d2h", "enqueue", "host")


@runtime_checkable
class Timed(Protocol):
    """Whether a backend has these methods: ``isinstance(backend, Timed)``. All times are milliseconds."""

    def time_once(self) -> Mapping[str, float]:
        """One query on the input of the last ``run``, by itself, and how long its parts took. All keys are required:

        h2d      between two events on the stream around the copies of the inputs to the device
        compute  between two events around the enqueue: what trtexec calls GPU Compute Time
        d2h      between two events around the copies of the outputs to the host
        enqueue  host time of the call that launches the network
        host     host time from before the first copy is called until the last one is complete
        """

    def time_many(self, count: int) -> float:
        """``count`` queries as fast as they go, the copies of one overlapping with the compute of another.

        Returns ms of host time from before the first is enqueued until the last is complete.
        """

    def profile(self, count: int) -> Sequence[tuple[str, float]]:
        """(layer, mean over ``count`` queries), in order of execution. Profiling slows the network down."""
