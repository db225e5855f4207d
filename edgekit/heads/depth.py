"""Depth, encoded to [0, 1] by the task (log of metres, or relative depth as it is)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgekit.heads.head import Head, inverse_variance, masked_mean
from edgekit.heads.spread import SpreadAggregate
from edgekit.tasks import Task


class DepthHead(Head):
    def soften(self, raw: Tensor) -> Tensor:
        return raw.clamp(0.0, 1.0)

    def zoom(self, task: Task, soft: Tensor, factor: float) -> Tensor:
        """Metric depth is divided by the factor and kept in its range; relative depth, known up to its scale, stays."""
        if not task.unit:
            return soft
        least, most = task.range
        return (soft - math.log(factor) / math.log(most / least)).clamp(0.0, 1.0)

    def agreement_weight(self, agreement: Tensor) -> Tensor:
        return inverse_variance(agreement)

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """L1 in encoded units: for metric depth the log-L1 up to a constant. Both (N, 1, H, W), NaN = no label.

        On the raw output and not the clamped one: outside [0, 1] the clamp has no gradient to come back by.
        """
        valid = torch.isfinite(label)
        return masked_mean((raw - label.nan_to_num()).abs(), valid)

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        return "L1", float((self.soften(raw) - label).abs().nanmean())

    def aggregate(self, average: str = "probability") -> SpreadAggregate:
        return SpreadAggregate()
