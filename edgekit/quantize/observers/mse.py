"""MSE: clip where rounding and clipping together cost the least squared error."""

from __future__ import annotations

import numpy as np

from edgekit.quantize.histogram import BINS, Histogram
from edgekit.quantize.observers.observer import LEVELS, Observer

_COARSE = 1 << 12
_CANDIDATES = 256


class MSE(Observer):
    """The threshold T among 256, evenly spaced up to the largest magnitude, that minimises E[(x − Q_T(x))²].

    Q_T rounds to multiples of T / 127 and clips at T.
    """

    def threshold(self, seen: Histogram) -> float:
        factor = BINS // _COARSE
        counts = np.concatenate([seen.counts.reshape(_COARSE, factor).sum(axis=1), seen.beyond[1]])
        values = np.concatenate([(np.arange(_COARSE) + 0.5) * seen.width * factor, seen.beyond[0]])
        values, counts = values[counts > 0], counts[counts > 0]
        most = min(seen.reach, seen.largest)
        thresholds = np.arange(1, _CANDIDATES + 1) * (most / _CANDIDATES)
        errors = [squared_error(values, counts, t) for t in thresholds]
        return float(thresholds[int(np.argmin(errors))])


def squared_error(values: np.ndarray, counts: np.ndarray, threshold: float) -> float:
    """Σ counts·(values − Q(values))² for Q of 127 steps up to ``threshold``; values ≥ 0."""
    step = threshold / (LEVELS - 1)
    rounded = np.minimum(np.rint(values / step), LEVELS - 1) * step
    return float(np.dot(counts, np.square(values - rounded)))
