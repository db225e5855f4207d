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


class Comparison:
    """Streaming comparison of logits with those of a reference, per task."""

    def __init__(self, tasks: Sequence[Task]):
        self._tasks = list(tasks)
        self._most = {task.name: 0.0 for task in tasks}
        self._difference = {task.name: 0.0 for task in tasks}
        self._same = {task.name: 0 for task in tasks}
        self._pixels = {task.name: 0 for task in tasks}

    def add(self, found: Maps, reference: Maps) -> None:
        for task in self._tasks:
            a, b = (maps[task.name].astype(np.float64) for maps in (found, reference))
            self._most[task.name] = max(self._most[task.name], float(np.abs(b).max()))
            # NaN counts as an infinite difference: max() would ignore it.
            apart = np.abs(a - b)
            self._difference[task.name] = max(
                self._difference[task.name], float(np.nan_to_num(apart, nan=np.inf).max())
            )
            if kind_of(task).forms[0].content == "index":
                same = _decisions(task, a) == _decisions(task, b)
                self._same[task.name] += int(same.sum())
                self._pixels[task.name] += same.size

    def rows(self, step: str, limits: ParityLimits) -> list[dict[str, Any]]:
        """Rows of the parity table: {step, task, metric, value, limit, holds}."""
        out = []
        for task in self._tasks:
            name = task.name
            error = self._difference[name] / self._most[name] if self._most[name] else self._difference[name]
            out.append(row(step, name, "error / max logit", error, limits.error, at_most=True))
            if kind_of(task).forms[0].content == "index":
                agreement = self._same[name] / self._pixels[name]
                out.append(row(step, name, "equal decisions", agreement, limits.agreement, at_most=False))
        return out


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
    """What logits (N, C, h, w) decide, (N, h, w)."""
    return np.stack([decoded(task, kind_of(task).forms[0].name, frame) for frame in logits])


def decoded(task: Task, form: str, logits: np.ndarray) -> np.ndarray:
    """One frame's raw logits (C, h, w) → a form as a graph gives it, at the logits' resolution, in float64."""
    kind = kind_of(task)
    logits = logits.astype(np.float64)
    of = kind.form(form)
    return of.of(task, logits if of.of_logits else kind.activation(task, logits)).astype(np.float64)


def failures(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in rows if not r["holds"]]
