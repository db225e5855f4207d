"""Statistics of one tensor: extremes, and a histogram of magnitudes whose size does not grow with the frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np

BINS = 1 << 14  # int32 counts of so many stay in a core's cache
_PIECE = 1 << 16  # values worked on at once: they stay in the cache
# Every other value is counted in a second histogram: a ReLU's zeros would otherwise wait for each other.
_SIDES = np.tile(np.array([0, BINS], np.uint16), _PIECE // 2)


@dataclass(frozen=True)
class Histogram:
    """Magnitudes |x| of a tensor over all frames.

    lowest, highest  extremes of x
    counts           (BINS,) int64: how many |x| lie in each of equal bins that cover [0, reach)
    reach            a power of two
    zeros            how many of the first bin are exactly zero, as a ReLU makes them
    beyond           (values, counts) of magnitudes from ``reach`` on, in coarser bins; empty unless zoomed in
    """

    lowest: float
    highest: float
    counts: np.ndarray
    reach: float
    zeros: int
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
        self._zeros = 0
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
        counts, zeros = _count(values, exponent, everything=not self._fixed)
        with self._lock:
            # Another thread may have widened the bins meanwhile.
            self._counts += _merged(counts, self._exponent - exponent)
            self._zeros += zeros

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
        return Histogram(self.lowest, self.highest, self._counts, reach, self._zeros, rest)

    def _grow(self, magnitude: float) -> None:
        # 2^-100 keeps the scale finite for tensors that are all zero.
        needed = int(np.frexp(max(magnitude, 2.0**-100))[1])  # magnitude < 2^needed
        if self._exponent is None:
            self._exponent = needed
        elif needed > self._exponent:
            self._counts = _merged(self._counts, needed - self._exponent)
            self._exponent = needed


def _count(values: np.ndarray, exponent: int, *, everything: bool) -> tuple[np.ndarray, int]:
    """(BINS,) counts of |values| over [0, 2^exponent), and how many are zero.

    A power of two scales exactly, so that values lie in the same bins whatever was seen before.
    """
    scale = np.float32(BINS * 2.0**-exponent)
    counts, zeros = np.zeros(BINS, np.int64), 0
    # OpenCV counts in float32, which is exact up to 2^24.
    for start in range(0, values.size, 1 << 24):
        part = values[start : start + (1 << 24)]
        bins, kept = np.empty(part.size, np.uint16), 0
        scaled = np.empty(min(part.size, _PIECE), np.float32)
        for first in range(0, part.size, _PIECE):
            piece = part[first : first + _PIECE]
            found = np.multiply(piece, scale, out=scaled[: piece.size])
            np.abs(found, out=found)
            zeros += int(np.count_nonzero(found == 0))  # of bools: much faster than of floats
            if not everything:
                found = found[found < BINS]
            place = bins[kept : kept + found.size]
            place[:] = found  # towards zero
            place += _SIDES[: found.size]
            kept += found.size
        if kept:
            counted = cv2.calcHist([bins[None, :kept]], [0], None, [2 * BINS], [0, 2 * BINS])
            counts += counted.reshape(2, BINS).sum(axis=0, dtype=np.int64)
    return counts, zeros


def _merged(counts: np.ndarray, doublings: int) -> np.ndarray:
    """The same counts in bins 2^doublings as wide."""
    if doublings == 0:
        return counts
    factor = min(1 << doublings, BINS)
    merged = np.zeros_like(counts)
    merged[: BINS // factor] = counts.reshape(-1, factor).sum(axis=1)
    return merged
