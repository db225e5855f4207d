"""The measuring loop on a clock of its own."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.bench.stopwatch import BenchPlan, measure


class Clock:
    """Time passes only when something runs."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def runs(clock: Clock, seconds: list[float] | float):
    """A run that takes the given seconds, one after the other, the last one for ever."""
    taken = [seconds] if isinstance(seconds, float) else list(seconds)

    def once():
        value = taken.pop(0) if len(taken) > 1 else taken[0]
        clock.now += value
        return {"graph": 1000 * value, "end_to_end": 2000 * value}

    return once


def test_warm_up_is_thrown_away():
    clock = Clock()
    series = measure(runs(clock, [0.5, 0.25, 0.1, 0.01]), BenchPlan(0.2, 0.1, 2), clock=clock)
    assert series.began == pytest.approx(100.85)  # after three
    np.testing.assert_allclose(series.values["graph"], 10.0)


def test_a_short_run_warms_up_for_its_seconds():
    clock = Clock()
    assert 100.19 < measure(runs(clock, 0.01), BenchPlan(0.2, 0.0, 1), clock=clock).began < 100.22


@pytest.mark.parametrize(
    ("seconds", "count"),
    [(0.5, 100), (0.0625, 100), (0.015625, 192)],  # slow: 100 runs; fast: three seconds
)
def test_it_ends_with_runs_and_seconds_enough(seconds, count):
    clock = Clock()
    series = measure(runs(clock, seconds), BenchPlan(0.0, 3.0, 100), clock=clock)
    assert series.count == count and series.seconds == pytest.approx(count * seconds)
    assert series.throughput == pytest.approx(1 / seconds)
    assert series.summary("end_to_end").mean == pytest.approx(2000 * seconds)


def test_progress_never_goes_back_and_ends_at_one():
    clock, seen = Clock(), []
    measure(runs(clock, [0.5, 0.01]), BenchPlan(0.0, 1.0, 5), clock=clock, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and seen[0] < 1.0


def test_an_exception_passes():
    with pytest.raises(RuntimeError, match="out of memory"):
        measure(lambda: (_ for _ in ()).throw(RuntimeError("out of memory")), BenchPlan())
