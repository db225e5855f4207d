"""The values in a task's maps: their range, how many are valid, and whether a network can learn from such labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import EIGHT_BIT
from edgekit.tasks.task import IGNORE

if TYPE_CHECKING:
    from edgekit.data.check import DataReport

_NEARLY_ALL = 0.9
_DARK, _BRIGHT = 64, 191  # of 255: no folder of photographs has nothing above the one, or below the other


@dataclass
class ValueSummary:
    """Of a task's maps: the number of values and of valid ones, minimum and maximum of the valid ones, and how many of
    them lie at or beyond the lower (``low``) and the upper end (``high``) of the task's range."""

    total: int = 0
    valid: int = 0
    least: float | None = None
    most: float | None = None
    low: int = 0
    high: int = 0

    @classmethod
    def of(cls, task: Task, array: np.ndarray) -> ValueSummary:
        """Of one native map."""
        if _is_index(task):
            values = array[array != IGNORE]
        else:
            values = array if array.dtype.kind in "ui" else array[np.isfinite(array)]
        if not values.size:
            return cls(array.size)
        low, high = (-np.inf, np.inf) if _is_index(task) else task.range
        ends = int((values <= low).sum()), int((values >= high).sum())
        return cls(array.size, values.size, float(values.min()), float(values.max()), *ends)

    def add(self, other: ValueSummary) -> None:
        self.total += other.total
        self.valid += other.valid
        self.low += other.low
        self.high += other.high
        if other.valid:
            self.least = other.least if self.least is None else min(self.least, other.least)
            self.most = other.most if self.most is None else max(self.most, other.most)

    def row(self) -> tuple[str, str, str, str]:
        """Minimum, maximum, share of valid values, and share at the ends of the range, for a table."""
        if not self.valid:
            return "-", "-", "0.0 %", "-"
        valid, ends = self.valid / self.total, (self.low + self.high) / self.valid
        return f"{self.least:.4g}", f"{self.most:.4g}", f"{100 * valid:.1f} %", f"{100 * ends:.1f} %"


def judge_values(report: DataReport, tasks: Mapping[str, Task], predicted: Collection[str], scored: str) -> None:
    """Refuse train labels of ``predicted`` tasks that nothing can be learned from, and empty ones of ``scored``.

    Nothing can be learned from labels without a valid pixel, with one value only, or beyond the range of their task.
    For other maps like that, and for classes that no train label holds, the report gets a note. ``scored`` is the split
    that the table is computed on. EdgekitError naming task and split.
    """
    for name, by_split in report.values.items():
        for split, values in by_split.items():
            reason = _useless(tasks[name], values)
            if reason is None:
                continue
            what, fix = reason
            if name in predicted and (split == "train" or (split == scored and not values.valid)):
                raise EdgekitError(f"the labels of '{name}' in {split} {what}", where=f"data: {name}", fix=fix)
            report.notes.append(f"the maps of '{name}' in {split} {what}: {fix}")
    for name, shares in report.shares.items():
        absent = [label for label, share in shares.get("train", {}).items() if share == 0]
        if absent:
            report.notes.append(f"no train label of '{name}' holds {', '.join(absent)}")


def _useless(task: Task, values: ValueSummary) -> tuple[str, str] | None:
    """(what is wrong, what to do) for values that nothing can be learned from; None for others."""
    if not values.total:
        return None
    if not values.valid:
        return "hold no valid value", "check how they were written: 255 and NaN mean that there is no label"
    if _is_index(task):
        if values.least != values.most:
            return None
        only = int(values.least)
        named = f"'{task.classes[only]}'" if only < len(task.classes) else str(only)
        ignored = 1 - values.valid / values.total
        if ignored:
            return (
                f"are {named} or ignored: {100 * ignored:.1f} % of the pixels are 255, which is ignore",
                "where 255 is a class, describe the labels by their colours: a class_dict with a line "
                "`name, 255, 255, 255` (a map of yes and no holds 0 and 1)",
            )
        return f"are {named} everywhere", "add labels of another class to train"
    if tuple(task.range) == EIGHT_BIT:
        if values.least < _BRIGHT and values.most > _DARK:
            return None
        return (
            f"lie between {values.least:g} and {values.most:g} of 255",
            "save pictures that use all of their bits: 12 bits in a file of 16 are dark",
        )
    for count, end, bound in ((values.low, "lower", task.range[0]), (values.high, "upper", task.range[1])):
        if count > _NEARLY_ALL * values.valid:
            unit = f" {task.unit}" if task.unit else ""
            return (
                f"lie at or beyond the {end} end of their range, {bound:g}{unit}, "
                f"in {100 * count / values.valid:.1f} % of the pixels",
                "check their unit (millimetres for metres?) and the task's range",
            )
    return None


def _is_index(task: Task) -> bool:
    """Whether maps hold indices, with 255 for ignore."""
    return kind_of(task).interpolation == "nearest"
