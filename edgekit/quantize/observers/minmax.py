"""Min–max: nothing is clipped."""

from __future__ import annotations

from edgekit.quantize.histogram import Histogram
from edgekit.quantize.observers.observer import Observer


class MinMax(Observer):
    """All that was seen, so that one outlier sets the step of every value."""

    counting = False

    def threshold(self, seen: Histogram) -> float:
        return seen.largest
