"""What was seen of one tensor: extremes and a histogram of magnitudes, whose size does not grow with the frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np

BINS = 1 << 16


@dataclass(frozen=True)
class Histogram:
    """Magnitudes |x| of a tensor over all frames.

    lowest, highest  extremes of x
    counts           (BINS,) int64: how many |x| lie in each of equal bins that cover [0, reach)
    reach            a power of two
    beyond           (values, counts) of magnitudes from ``reach`` on, in coarser bins; empty unless zoomed in
    """

    lowest: float
    highest: float
    counts: np.ndarray
    reach: float
    beyond: tuple[np.ndarray, np.ndarray]

    @property
    def width(self) -> float:
        return self.reach / BINS

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(-self.lowest, self.highest)

    def clipped(self, threshold: float) -> tuple[float, float]:
        """The range (lo, hi) that cuts magnitudes off at ``threshold`` and never reaches beyond what was seen."""
        return max(self.lowest, -threshold), min(self.highest, threshold)


class Tally:
    """A histogram that fills frame by frame, from any number of threads.

    Bins are a power of two wide. Where a frame exceeds what the bins cover, neighbours are merged until it fits: the
    result is that of bins so wide from the start, whatever the order of the frames.
    ``reach``: cover [0, reach) only, and what lies beyond is not counted.
    """

    def __init__(self, *, counting: bool, reach: float | None = None):
        self.counting = counting
        self.finite = True
        self.lowest, self.highest = np.inf, -np.inf
        self._fixed = reach is not None
        self._exponent: int | None = None if reach is None else int(np.frexp(reach)[1]) - 1
        self._counts = np.zeros(BINS if counting else 0, np.int64)
        self._lock = threading.Lock()

    def add(self, values: np.ndarray) -> None:
        """``values`` float32, any shape."""
        values = values.reshape(-1)
        if values.size == 0:
            return
        lowest, highest = float(values.min()), float(values.max())
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            self.finite = False
            return
        with self._lock:
            self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
            if not self.counting:
                return
            if not self._fixed:
                self._grow(max(-lowest, highest))
            exponent = self._exponent
        counts = _count(values, exponent, everything=not self._fixed)
        with self._lock:
            # Another thread may have widened the bins meanwhile.
            self._counts += _merged(counts, self._exponent - exponent)

    def result(self, beyond: Histogram | None = None) -> Histogram:
        """``beyond``: the wider histogram that this one zooms into."""
        reach = 2.0 ** (self._exponent if self._exponent is not None else 0)
        rest = (np.zeros(0), np.zeros(0, np.int64))
        if beyond is not None:
            first = int(reach / beyond.width)
            values = (np.arange(first, BINS) + 0.5) * beyond.width
            rest = (
                np.concatenate([values, beyond.beyond[0]]),
                np.concatenate([beyond.counts[first:], beyond.beyond[1]]),
            )
        return Histogram(self.lowest, self.highest, self._counts, reach, rest)

    def _grow(self, magnitude: float) -> None:
        # 2^-100 keeps the scale finite for tensors that are all zero.
        needed = int(np.frexp(max(magnitude, 2.0**-100))[1])  # magnitude < 2^needed
        if self._exponent is None:
            self._exponent = needed
        elif needed > self._exponent:
            self._counts = _merged(self._counts, needed - self._exponent)
            self._exponent = needed


def _count(values: np.ndarray, exponent: int, *, everything: bool) -> np.ndarray:
    """(BINS,) counts of |values| over [0, 2^exponent). A power of two scales exactly, so no value changes bins."""
    scaled = np.multiply(values, np.float32(BINS * 2.0**-exponent))
    np.abs(scaled, out=scaled)
    if not everything:
        scaled = scaled[scaled < BINS]
    bins = scaled.astype(np.uint16)
    counts = np.zeros(BINS, np.int64)
    # OpenCV counts in float32, which is exact up to 2^24.
    for start in range(0, bins.size, 1 << 24):
        part = bins[None, start : start + (1 << 24)]
        counts += cv2.calcHist([part], [0], None, [BINS], [0, BINS]).reshape(-1).astype(np.int64)
    return counts


def _merged(counts: np.ndarray, doublings: int) -> np.ndarray:
    """The same counts in bins 2^doublings as wide."""
    if doublings == 0:
        return counts
    factor = 1 << min(doublings, 16)
    merged = np.zeros_like(counts)
    merged[: BINS // factor] = counts.reshape(-1, factor).sum(axis=1)
    return merged
