"""The one number that a kind's tasks are compared by, and the standard error of what is computed from frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PrimaryMetric:
    """Which score of a kind counts where there is room for one, and what INT8 may cost of it.

    name              the key of ``Meter.result()``
    unit              of a cost: ``points`` of 100 for a share in 0-1, ``%`` of the value before, or the metric's own
    limit             most that INT8 may cost by default, in ``unit``
    higher_is_better  of the metric
    """

    name: str
    unit: Literal["points", "%"] | str
    limit: float
    higher_is_better: bool = True

    def cost(self, before: float, after: float) -> float:
        """How much worse ``after`` is than ``before``, in ``unit``; a gain is negative."""
        worse = before - after if self.higher_is_better else after - before
        if self.unit == "points":
            return 100.0 * worse
        if self.unit == "%":
            return 100.0 * worse / abs(before) if before else 100.0 * (worse > 0) - 100.0 * (worse < 0)
        return worse


def jackknife_error(without: Sequence[float]) -> float:
    """The standard error of a statistic by the delete-a-group jackknife (Quenouille 1949, Tukey 1958).

    ``without``: the statistic without each of the groups, about equally large, that the data is divided into.
    """
    centre = sum(without) / len(without)
    return math.sqrt((len(without) - 1) / len(without) * sum((part - centre) ** 2 for part in without))
