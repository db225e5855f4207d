"""Throttling: a clock that falls although the load does not."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.bench.telemetry.reading import Reading

FALL = 0.05
LASTING = 3
LOADED = 50.0


def find_drops(readings: Sequence[Reading], began: float, ended: float) -> list[str]:
    """The first drop of each unit between two times, under constant load, one sentence each.

    A drop is at least three readings in a row more than 5 % below the highest clock until then. Readings with less than
    50 % load do not count: a governor lowers the clock of an idle unit. Without a known load every reading counts,
    because a measurement is running.
    """
    inside = [r for r in readings if began <= r.time <= ended]
    gpu = [(r.time, r.gpu_mhz) for r in inside if r.gpu_mhz and (r.gpu_load is None or r.gpu_load >= LOADED)]
    cpu = [(r.time, max(r.cpu_mhz)) for r in inside if r.cpu_mhz and (not r.cpu_load or max(r.cpu_load) >= LOADED)]
    found = [_first_drop(unit, clocks, began) for unit, clocks in (("GPU", gpu), ("CPU", cpu))]
    return [drop for drop in found if drop]


def _first_drop(unit: str, clocks: Sequence[tuple[float, float]], began: float) -> str | None:
    highest, low = 0.0, []
    for time, mhz in clocks:
        highest = max(highest, mhz)
        low = [*low, (time, mhz)] if mhz < (1 - FALL) * highest else []
        if len(low) == LASTING:
            lowest, at = min(m for _, m in low), low[0][0] - began
            return f"the {unit}'s clock fell from {highest:.0f} to {lowest:.0f} MHz {at:.1f} s into the run"
    return None
