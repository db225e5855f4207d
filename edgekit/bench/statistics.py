"""Statistics of a series of latencies. Percentiles and median are defined as in trtexec, so that they compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILES = (90, 95, 99)


@dataclass(frozen=True)
class TimeSummary:
    """Milliseconds, but for ``count``.

    std     standard deviation of the sample (n − 1)
    jitter  mean absolute difference between one run and the next: what a control loop sees from frame to frame. Unlike
            the standard deviation it does not grow with a slow drift
    """

    count: int
    mean: float
    std: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    jitter: float


def summarise(samples: Sequence[float] | np.ndarray) -> TimeSummary:
    """Latencies in the order they were taken, one or more, finite. ValueError for anything else."""
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected a row of finite latencies, got {values!r}")
    ordered = np.sort(values)
    p90, p95, p99 = (percentile(ordered, p) for p in PERCENTILES)
    return TimeSummary(
        count=len(values),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        min=float(ordered[0]),
        p50=float(np.median(values)),
        p90=p90,
        p95=p95,
        p99=p99,
        max=float(ordered[-1]),
        jitter=float(np.abs(np.diff(values)).mean()) if len(values) > 1 else 0.0,
    )


def percentile(ordered: np.ndarray, percent: float) -> float:
    """trtexec's: of n sorted values the one that leaves ⌊(1 − percent/100) · n⌋ above it; no interpolation.

    The product is taken in single precision, as trtexec does, which decides where it would be a whole number: of 100
    values the 99th percentile is the greatest one, since (1 − 0.99f) · 100 is a little less than one.
    """
    share = np.float32(1) - np.float32(percent) / np.float32(100)
    above = math.floor(np.float32(share * np.float32(len(ordered))))
    return float(ordered[max(len(ordered) - 1 - above, 0)])
