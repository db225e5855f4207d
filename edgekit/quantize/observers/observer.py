"""The interface of observers: the range to quantize a tensor to, from its histogram."""

from __future__ import annotations

from abc import ABC, abstractmethod

from edgekit.quantize.histogram import Histogram

LEVELS = 128
"""Magnitudes of a signed 8-bit integer, 0 to 127: one set of ranges serves every lane, and the symmetric
one is the coarsest."""


class Observer(ABC):
    """A method of choosing ranges. ``counting``: whether it needs more than the extremes."""

    counting: bool = True

    @abstractmethod
    def threshold(self, seen: Histogram) -> float:
        """The magnitude to clip at, 0 < threshold ≤ ``seen.largest``; ``seen.largest`` is not zero."""
