"""The accuracy gate: how much of each task's primary metric INT8 may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.tasks import Task, kind_of

TaskScores = Mapping[str, Mapping[str, Any]]
"""Task → metric → value, as the kinds' meters give them."""


@dataclass(frozen=True)
class TaskVerdict:
    """One task at the gate. ``cost`` and ``allowed`` in ``unit``; a gain is a negative cost.

    ``cost`` is None where a score is undefined or missing: what cannot be judged does not pass.
    """

    task: str
    metric: str
    reference: float | None
    value: float | None
    cost: float | None
    allowed: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.cost is not None and self.cost <= self.allowed

    @property
    def violation(self) -> float:
        """Cost as a share of what is allowed, for comparing tasks: above 1 the gate fails."""
        if self.cost is None:
            return float("inf")
        if self.allowed == 0:
            return 0.0 if self.cost <= 0 else 1.0 + self.cost
        return self.cost / self.allowed

    def __str__(self) -> str:
        if self.cost is None:
            return f"{self.task}: {self.metric} is undefined"
        return (
            f"{self.task}: {self.metric} {self.reference:.4f} → {self.value:.4f}, "
            f"{self.cost:+.2f} {self.unit} of {self.allowed:g} allowed"
        )


def judge(
    tasks: Sequence[Task], reference: TaskScores, scores: TaskScores, limits: Mapping[str, float] | None = None
) -> list[TaskVerdict]:
    """A verdict for every task. ``limits``: kind → most that INT8 may cost, the kind's own where none is given."""
    verdicts = []
    for task in tasks:
        primary = kind_of(task).primary
        before, after = (found.get(task.name, {}).get(primary.name) for found in (reference, scores))
        cost = None if before is None or after is None else primary.cost(before, after)
        allowed = (limits or {}).get(task.kind, primary.limit)
        verdicts.append(TaskVerdict(task.name, primary.name, before, after, cost, allowed, primary.unit))
    return verdicts


def holds(verdicts: Sequence[TaskVerdict]) -> bool:
    """Whether every task passes; False where nothing was judged."""
    return bool(verdicts) and all(v.holds for v in verdicts)


def violation(verdicts: Sequence[TaskVerdict]) -> float:
    """The largest violation of any task; infinite where nothing was judged."""
    return max((v.violation for v in verdicts), default=float("inf"))
