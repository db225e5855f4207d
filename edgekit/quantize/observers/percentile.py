"""Percentile: clip a fixed share of the values."""

from __future__ import annotations

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.quantize.histogram import Histogram
from edgekit.quantize.observers.observer import Observer


class Percentile(Observer):
    """The magnitude that ``percentile`` % of the values do not exceed, 99.9 to 99.999; to the width of a bin."""

    def __init__(self, percentile: float = 99.99):
        if not 99.0 <= percentile <= 100.0:
            raise EdgekitError(
                f"percentile {percentile:g} is not between 99 and 100",
                where="export.quantize.percentile",
                fix="99.99 is usual; 99.9 often clips too much",
            )
        self.percentile = percentile

    def threshold(self, seen: Histogram) -> float:
        counts = np.concatenate([seen.counts, seen.beyond[1]])
        edges = np.concatenate([np.arange(1, len(seen.counts) + 1) * seen.width, seen.beyond[0]])
        wanted = np.ceil(counts.sum() * self.percentile / 100.0)
        return min(float(edges[np.searchsorted(np.cumsum(counts), wanted)]), seen.largest)
