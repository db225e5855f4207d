"""Energy out of power readings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.bench.telemetry.reading import Reading

LEAST_READINGS = 5


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
