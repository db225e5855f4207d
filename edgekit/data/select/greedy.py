"""Frames that stand for all others: greedy facility location and greedy k-centre.

Both take, again and again, the frame whose score ``value * gain ** power`` is the greatest. A gain is what a frame adds
to those chosen; it never grows as more are chosen, so a gain that was computed earlier is a bound for today's, and only
the best bounds are computed again (Minoux, Accelerated greedy algorithms, 1978). Distances are computed in blocks:
memory grows with the number of frames, not with its square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 256
_AGAIN = 32  # gains that are computed anew at a time
_SAME = 1e-9  # of the largest square: what is left of equal rows after rounding


@dataclass(frozen=True)
class Choice:
    """``order``: the chosen frames, the first first; ``gains``: what each added when it was chosen."""

    order: list[int]
    gains: list[float]


Method = Callable[[np.ndarray, np.ndarray, int, Sequence[int], float], Choice]


def facility_location(
    features: np.ndarray, value: np.ndarray, count: int, kept: Sequence[int] = (), power: float = 1.0
) -> Choice:
    """Choose ``count`` beside ``kept`` so that all frames are near a chosen one on the mean (Nemhauser et al., 1978).

    The gain is the mean over all frames of how much nearer the nearest chosen one comes; before the first it is as far
    as two frames are on average. ``features`` (n, d), ``value`` (n,) > 0. Of equal scores the greater value comes
    first, then the earlier frame.
    """
    between = _distances(features)
    nearest = np.full(len(features), reach(features))
    for index in kept:
        nearest = np.minimum(nearest, between([index])[0])

    def gains(of: np.ndarray) -> np.ndarray:
        return np.maximum(nearest - between(of), 0).mean(axis=1)

    everything = np.arange(len(features))
    bounds = np.concatenate([gains(everything[i : i + _BLOCK]) for i in range(0, len(features), _BLOCK)])
    left = np.ones(len(features), bool)
    left[list(kept)] = False
    order: list[int] = []
    told: list[float] = []
    for _ in range(min(count, int(left.sum()))):
        scores = np.where(left, value * bounds**power, -1.0)
        ranked, best = np.lexsort((-value, -scores)), -1.0
        if scores[ranked[0]] > 0 and power > 0:
            for i in range(0, len(ranked), _AGAIN):
                block = ranked[i : i + _AGAIN]
                if scores[block[0]] < best or scores[block[0]] <= 0:
                    break
                bounds[block] = gains(block)
                scores[block] = np.where(left[block], value[block] * bounds[block] ** power, -1.0)
                best = max(best, float(scores[block].max()))
            ranked = np.lexsort((-value, -scores))
        chosen = int(ranked[0])
        order.append(chosen)
        told.append(float(gains(np.array([chosen]))[0]))
        left[chosen] = False
        nearest = np.minimum(nearest, between([chosen])[0])
    return Choice(order, told)


def k_centre(
    features: np.ndarray, value: np.ndarray, count: int, kept: Sequence[int] = (), power: float = 1.0
) -> Choice:
    """Choose ``count`` beside ``kept`` so that no frame is far from all chosen ones (Gonzalez, 1985).

    The gain is the distance to the nearest chosen frame. With equal values the greatest such distance is at most twice
    the least possible. The first is the frame next to the mean,
    and its gain the greatest distance from it. Arguments and ties as in ``facility_location``.
    """
    between = _distances(features)
    from_mean = np.linalg.norm(features - features.mean(axis=0), axis=1)
    nearest = from_mean.max() - from_mean if not len(kept) else np.full(len(features), np.inf)
    for index in kept:
        nearest = np.minimum(nearest, between([index])[0])
    left = np.ones(len(features), bool)
    left[list(kept)] = False
    order: list[int] = []
    told: list[float] = []
    for _ in range(min(count, int(left.sum()))):
        scores = np.where(left, value * nearest**power, -1.0)
        chosen = int(np.lexsort((-value, -scores))[0])
        first = not order and not len(kept)
        away = between([chosen])[0]
        order.append(chosen)
        told.append(float(away.max() if first else nearest[chosen]))
        left[chosen] = False
        nearest = away if first else np.minimum(nearest, away)
    return Choice(order, told)


METHODS: dict[str, Method] = {"facility-location": facility_location, "k-centre": k_centre}


def reach(features: np.ndarray) -> float:
    """How far two frames are from each other, the root of the mean square."""
    return float(np.sqrt(2 * np.square(features - features.mean(axis=0)).sum(axis=1).mean()))


def to_nearest(features: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """(n,) distance of each frame to the nearest chosen one."""
    between = _distances(features)
    blocks = (between(chosen[i : i + _BLOCK]).min(axis=0) for i in range(0, len(chosen), _BLOCK))
    return np.minimum.reduce(list(blocks))


def _distances(features: np.ndarray) -> Callable[[Sequence[int] | np.ndarray], np.ndarray]:
    """A function (indices of m frames) -> (m, n) float64 distances to all frames; of equal rows it is exactly 0."""
    rows = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    squares = np.square(rows).sum(axis=1)
    least = _SAME * max(float(squares.max(initial=0)), 1e-300)

    def between(of: Sequence[int] | np.ndarray) -> np.ndarray:
        of = np.asarray(of)
        found = squares[of, None] + squares - 2 * rows[of] @ rows.T
        return np.sqrt(np.where(found > least, found, 0))

    return between
