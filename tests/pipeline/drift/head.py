"""The torch half of drift."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.heads import Head
from edgekit.heads.head import masked_mean
from edgekit.heads.nodes import Nodes
from edgekit.heads.spread import SpreadAggregate
from edgekit.tasks import Task

MOST = 8.0


class DriftHead(Head):
    losses = ("regression",)

    def activation(self, raw: Tensor) -> Tensor:
        return raw.clamp(-1.0, 1.0)

    def reorient(self, task: Task, soft: Tensor, turn: tuple[float, float], zoom: float) -> Tensor:
        return (soft * (zoom * soft.new_tensor(turn))[:, None, None]).clamp(-1.0, 1.0)

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return masked_mean((raw - label.nan_to_num()).abs(), torch.isfinite(label))

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        return "L1", float((self.activation(raw) - label).abs().nanmean())

    def aggregate(self, average: str = "probability") -> SpreadAggregate:
        return SpreadAggregate()

    def answers(self, task: Task) -> tuple[str, ...]:
        return ("pixels",)

    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        return self.activation(raw / MOST)

    def motion_nodes(self, task: Task, nodes: Nodes) -> str:
        bounds = [nodes.own_constant("least", -1.0), nodes.own_constant("most", 1.0)]
        share = nodes.node("Clip", [nodes.logits(), *bounds], "share")
        return nodes.node("Mul", [share, nodes.own_constant("scale", MOST)], "pixels")


HEAD = DriftHead()
