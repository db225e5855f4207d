"""The readings taken during a measurement in numbers, and what a reader must know about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from edgekit.bench.telemetry.reading import Reading, total_rails
from edgekit.bench.telemetry.sampler import Sampler
from edgekit.bench.telemetry.throttling import find_drops

Span = tuple[float, float]
LEAST_READINGS = 5  # for an energy


def summarise_telemetry(
    sampler: Sampler, before: dict[str, Any], after: dict[str, Any], windows: Sequence[Span], frames: int
) -> dict[str, Any]:
    """Ready for JSON, the state ``before`` at its top. ``before``, ``after``: of ``read_state``; ``windows``: when
    something was measured, on time.monotonic; ``frames`` ran in the first one, which energy per frame is from."""
    inside = [r for r in sampler.readings if any(began <= r.time <= ended for began, ended in windows)]
    joules = energy(sampler.readings, *windows[0])
    drops = [drop for window in windows for drop in find_drops(sampler.readings, *window)]
    rails = sorted({name for r in inside for name in r.rails})
    total = total_rails(inside[0].rails) if inside else None
    return {
        **before,
        "after": after,
        "source": sampler.source,
        "trouble": sampler.trouble,
        "readings": len(inside),
        "power_mw": {name: _spread(r.rails.get(name) for r in inside) for name in rails},
        "total_mw": _spread(r.power for r in inside),
        "total_is": "+".join(total) if total else None,
        "energy_mj_per_frame": None if joules is None else round(1000 * joules / frames, 4),
        "temperatures_c": _temperatures(inside),
        "gpu_load": _spread(r.gpu_load for r in inside),
        "gpu_mhz": _spread(r.gpu_mhz for r in inside),
        "cpu_load": _spread(fmean(r.cpu_load) if r.cpu_load else None for r in inside),
        "cpu_mhz": _spread(max(r.cpu_mhz, default=None) for r in inside),
        "emc_load": _spread(r.emc_load for r in inside),
        "emc_mhz": _spread(r.emc_mhz for r in inside),
        "ram_mib": _spread(r.ram for r in inside),
        "throttled": bool(drops) if any(r.gpu_mhz or r.cpu_mhz for r in inside) else None,
        "drops": drops,
    }


def energy(readings: Sequence[Reading], began: float, ended: float) -> float | None:
    """Joules drawn between two times: the module's total power, interpolated linearly and integrated.

    Before the first and after the last reading power counts as constant. None where fewer than five readings with a
    known total lie between the two times.
    """
    points = [(r.time, r.power / 1000) for r in readings if r.power is not None]  # s, W
    if sum(began <= time <= ended for time, _ in points) < LEAST_READINGS:
        return None
    times, watts = np.array(sorted(points)).T
    inside = times[(times > began) & (times < ended)]
    at = np.concatenate([[began], inside, [ended]])
    power = np.interp(at, times, watts)
    return float(np.sum((power[1:] + power[:-1]) / 2 * np.diff(at)))


def marks(telemetry: dict[str, Any]) -> list[str]:
    """Sentences that a reader of the numbers must know."""
    said = []
    locked = {state["clocks_locked"] for state in (telemetry, telemetry["after"])}
    if False in locked:
        said.append("taken without locked clocks: they may differ next time (on a Jetson: sudo jetson_clocks)")
    elif None in locked:
        said.append("it is not known whether the clocks were locked")
    modes = [state["power_mode"] for state in (telemetry, telemetry["after"])]
    if modes[0] != modes[1]:
        said.append(f"the power mode changed while measuring, from {modes[0]} to {modes[1]}")
    said += [f"throttled: {drop}" for drop in telemetry["drops"]]
    if telemetry["trouble"]:
        said.append(f"no telemetry: {telemetry['trouble']}")
    return said


def _spread(values: Iterable[float | None]) -> dict[str, float] | None:
    known = [v for v in values if v is not None]
    if not known:
        return None
    return {name: round(of(known), 2) for name, of in (("mean", fmean), ("min", min), ("max", max))}


def _temperatures(readings: Sequence[Reading]) -> dict[str, dict[str, float]]:
    found = {}
    for name in sorted({name for r in readings for name in r.temperatures}):
        values = [r.temperatures[name] for r in readings if name in r.temperatures]
        found[name] = {"start": values[0], "end": values[-1], "max": max(values)}
    return found
