"""The accuracy gate: how much of each task's metric INT8 may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.quantize.config import GateConfig

Scores = Mapping[str, Mapping[str, Any]]
"""Task → metric → value, as the kinds' meters give them."""


@dataclass(frozen=True)
class Verdict:
    """One task at the gate. ``cost`` and ``allowed`` in ``unit``; a gain is a negative cost."""

    task: str
    metric: str
    reference: float
    value: float | None
    cost: float | None
    allowed: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.cost is not None and self.cost <= self.allowed

    @property
    def strain(self) -> float:
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


def judge(reference: Scores, scores: Scores, gate: GateConfig) -> list[Verdict]:
    """A verdict per task that has a metric the gate knows and whose reference is defined."""
    verdicts = []
    for task, metrics in reference.items():
        found = _metric(metrics)
        if found is None:
            continue
        metric, before = found
        after = scores[task].get(metric)
        allowed, unit = _limit(metric, gate)
        cost = None if after is None else _cost(metric, before, after)
        verdicts.append(Verdict(task, metric, before, after, cost, allowed, unit))
    return verdicts


def holds(verdicts: Sequence[Verdict]) -> bool:
    return all(v.holds for v in verdicts)


def strain(verdicts: Sequence[Verdict]) -> float:
    """That of the task worst off; 0 where nothing is judged."""
    return max((v.strain for v in verdicts), default=0.0)


def _metric(metrics: Mapping[str, Any]) -> tuple[str, float] | None:
    # A semantic task has iou too, per class: miou comes first.
    for name in ("miou", "iou", "absrel", "mean_angle"):
        if isinstance(metrics.get(name), (int, float)):
            return name, float(metrics[name])
    return None


def _limit(metric: str, gate: GateConfig) -> tuple[float, str]:
    return {
        "miou": (gate.miou_points, "points"),
        "iou": (gate.miou_points, "points"),
        "absrel": (gate.absrel_percent, "%"),
        "mean_angle": (gate.normals_degrees, "°"),
    }[metric]


def _cost(metric: str, before: float, after: float) -> float:
    if metric in ("miou", "iou"):
        return 100.0 * (before - after)
    if metric == "absrel":
        return 100.0 * (after - before) / before if before else 100.0 * (after > 0)
    return after - before
