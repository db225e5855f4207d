"""Depth, encoded to [0, 1] by the task (log of metres, or relative depth as it is)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgekit.heads.head import Head, inverse_variance, masked_mean
from edgekit.heads.nodes import Nodes
from edgekit.heads.spread import SpreadAggregate
from edgekit.tasks import Task, kind_of


class DepthHead(Head):
    def activation(self, raw: Tensor) -> Tensor:
        return raw.clamp(0.0, 1.0)

    def reorient(self, task: Task, soft: Tensor, turn: tuple[float, float], zoom: float) -> Tensor:
        """Metric depth is divided by the zoom and kept in its range; relative depth, known up to its scale, stays."""
        if not task.unit or zoom == 1.0:
            return soft
        least, most = task.range
        return (soft - math.log(zoom) / math.log(most / least)).clamp(0.0, 1.0)

    def agreement_weight(self, agreement: Tensor) -> Tensor:
        return inverse_variance(agreement)

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """L1 in encoded units: for metric depth the log-L1 up to a constant. Both (N, 1, H, W), NaN = no label.

        On the raw output and not the clamped one: outside [0, 1] the clamp has no gradient to come back by.
        """
        valid = torch.isfinite(label)
        return masked_mean((raw - label.nan_to_num()).abs(), valid)

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        return "L1", float((self.activation(raw) - label).abs().nanmean())

    def aggregate(self, average: str = "probability") -> SpreadAggregate:
        return SpreadAggregate()

    def answers(self, task: Task) -> tuple[str, ...]:
        return ("metres",) if task.unit else ("relative",)

    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        encoded = kind_of(task).encode(task, raw[0, 0].cpu().numpy())
        return torch.from_numpy(encoded).permute(2, 0, 1)[None].to(raw.device)

    def project(self, soft: Tensor) -> Tensor:
        return soft.clamp(0, 1)

    def depth_nodes(self, task: Task, nodes: Nodes) -> str:
        least, most = task.range
        bounds = [nodes.constant("zero", 0.0), nodes.constant("one", 1.0)]
        share = nodes.node("Clip", [nodes.logits(), *bounds], "share")
        span = math.log(most / least) if task.unit else most - least
        stretched = nodes.node("Mul", [share, nodes.own_constant("span", span)], "stretched")
        if task.unit:
            stretched = nodes.node("Exp", [stretched], "power")
        start = nodes.own_constant("least", least)
        return nodes.squeeze(nodes.node("Mul" if task.unit else "Add", [stretched, start], "decoded"))
