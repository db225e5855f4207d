"""Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Places of the points that no other dominates: as good in every cost and better in one; less is better.

    Points that are equal are all of it. ``costs``: (n, m), finite.
    """
    values = np.asarray(costs, dtype=float).reshape(len(costs), -1)
    beaten = (values[:, None] <= values[None]).all(axis=2) & (values[:, None] < values[None]).any(axis=2)
    return [int(place) for place in np.flatnonzero(~beaten.any(axis=0))]
