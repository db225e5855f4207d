"""The difference between two sets of logits, per task, as the gates measure it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.tasks import Task, kind_of

Maps = dict[str, np.ndarray]
"""Task name → raw logits (N, C, h, w)."""

EXACT_ERROR = 1e-4
EXACT_AGREEMENT = 0.9999
HALF_ERROR = 2e-2
HALF_AGREEMENT = 0.99
COARSE_ERROR = 0.1
"""For integers: a tenth of the largest value is more than rounding."""


@dataclass(frozen=True)
class ParityLimits:
    """``error``: most of max|difference| / max|logit|; ``agreement``: least share of equal decisions. None: no gate."""

    error: float | None = None
    agreement: float | None = None


EXACT = ParityLimits(EXACT_ERROR, EXACT_AGREEMENT)
HALF = ParityLimits(HALF_ERROR, HALF_AGREEMENT)
OPEN = ParityLimits()


@dataclass
class LargestError:
    """max|difference| / max|reference| over all that was added."""

    difference: float = 0.0
    reference: float = 0.0

    def add(self, found: np.ndarray, reference: np.ndarray) -> None:
        a, b = found.astype(np.float64), reference.astype(np.float64)
        # NaN counts as an infinite difference: max() would ignore it.
        self.difference = max(self.difference, float(np.nan_to_num(np.abs(a - b), nan=np.inf).max()))
        self.reference = max(self.reference, float(np.abs(b).max()))

    @property
    def value(self) -> float:
        return self.difference / (self.reference or 1.0)


@dataclass
class EqualShare:
    """The share of equal elements among all that were added."""

    equal: int = 0
    count: int = 0

    def add(self, found: np.ndarray, reference: np.ndarray) -> None:
        self.equal += int((found == reference).sum())
        self.count += reference.size

    @property
    def value(self) -> float:
        return self.equal / self.count


class Comparison:
    """Streaming comparison of logits with those of a reference, per task."""

    def __init__(self, tasks: Sequence[Task]):
        self._errors = [(task, LargestError()) for task in tasks]
        self._decided = [(task, EqualShare()) for task in tasks if kind_of(task).forms[0].content == "index"]

    def add(self, found: Maps, reference: Maps) -> None:
        for task, error in self._errors:
            error.add(found[task.name], reference[task.name])
        for task, equal in self._decided:
            equal.add(*(_decisions(task, maps[task.name]) for maps in (found, reference)))

    def rows(self, step: str, limits: ParityLimits) -> list[dict[str, Any]]:
        """Rows of the parity table: {step, task, metric, value, limit, holds}."""
        return [
            *(row(step, t.name, "error / max logit", e.value, limits.error, at_most=True) for t, e in self._errors),
            *(row(step, t.name, "equal decisions", e.value, limits.agreement, at_most=False) for t, e in self._decided),
        ]


def row(step: str, task: str, metric: str, value: float, limit: float | None, *, at_most: bool) -> dict[str, Any]:
    """``value`` that is not finite is written as None and holds only where there is no limit."""
    finite = bool(np.isfinite(value))
    holds = limit is None or (finite and (value <= limit if at_most else value >= limit))
    return {
        "step": step,
        "task": task,
        "metric": metric,
        "value": float(value) if finite else None,
        "limit": limit,
        "holds": bool(holds),
    }


def _decisions(task: Task, logits: np.ndarray) -> np.ndarray:
    """The classes or masks of logits (N, C, h, w), (N, h, w)."""
    return np.stack([decoded(task, kind_of(task).forms[0].name, frame) for frame in logits])


def decoded(task: Task, form: str, logits: np.ndarray) -> np.ndarray:
    """One frame's raw logits (C, h, w) → a form as a graph gives it, at the logits' resolution, in float64."""
    kind = kind_of(task)
    logits = logits.astype(np.float64)
    of = kind.form(form)
    return of.of(task, logits if of.of_logits else kind.activation(task, logits)).astype(np.float64)


def failures(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in rows if not r["holds"]]
