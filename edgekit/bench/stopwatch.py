"""The loop of every measurement: warm up, then run until there are enough runs and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.bench.statistics import TimeSummary, summarise

LEAST_WARM_UPS = 3


@dataclass(frozen=True)
class BenchPlan:
    """When a measurement is long enough: ``duration`` seconds and ``runs`` runs, whichever ends later.

    warm_up  seconds that are run and thrown away first (at least three runs, none for 0)
    """

    warm_up: float = 0.2
    duration: float = 3.0
    runs: int = 100


@dataclass(frozen=True)
class Series:
    """What was measured: per name one value in ms per run, in the order they were taken.

    began, ended  of the measured part, on the clock of ``measure``
    """

    values: Mapping[str, np.ndarray]
    began: float
    ended: float

    @property
    def count(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def throughput(self) -> float:
        """Runs per second of wall time, as trtexec counts it."""
        return self.count / self.seconds

    def summary(self, name: str) -> TimeSummary:
        return summarise(self.values[name])


def measure(
    once: Callable[[], Mapping[str, float]],
    plan: BenchPlan,
    *,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[float], None] = lambda done: None,
) -> Series:
    """Run ``once`` again and again; it returns what one run took, in ms by name, always the same names.

    progress  gets how much of the plan is done, 0 to 1
    """
    start, warm_ups = clock(), 0
    while plan.warm_up and (warm_ups < LEAST_WARM_UPS or clock() - start < plan.warm_up):
        once()
        warm_ups += 1
    taken: dict[str, list[float]] = {}
    began, count = clock(), 0
    while True:
        for name, value in once().items():
            taken.setdefault(name, []).append(value)
        count += 1
        now = clock()
        progress(min(1.0, (now - began) / max(plan.duration, 1e-9), count / plan.runs))
        if count >= plan.runs and now - began >= plan.duration:
            break
    values = {name: np.array(series) for name, series in taken.items()}
    return Series(values, began, now)
