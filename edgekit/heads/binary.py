"""Binary maps: one logit in, one probability out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.heads.head import Head, masked_mean, one_hot
from edgekit.heads.nodes import Nodes
from edgekit.heads.spread import SpreadAggregate
from edgekit.tasks import Task


class BinaryHead(Head):
    stored_answer, native_answer = "probabilities", "indices"

    def activation(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Binary cross-entropy; both (N, 1, H, W), NaN = no label."""
        loss = F.binary_cross_entropy_with_logits(raw, label.nan_to_num(), reduction="none")
        return masked_mean(loss, torch.isfinite(label))

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        labelled = torch.isfinite(label)
        return "accuracy", float(((raw > 0) == (label > 0.5))[labelled].float().mean())

    def aggregate(self, average: str = "probability") -> SpreadAggregate:
        return SpreadAggregate()

    def answers(self, task: Task) -> tuple[str, ...]:
        return ("logits", "probabilities", "indices")

    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        if form == "indices":
            both = one_hot(raw, 2)
            return both[:, 1:] + 0.5 * (1 - both.sum(dim=1, keepdim=True))  # unknown: as likely as not
        if form == "logits":
            return raw.sigmoid()
        if raw.min() < 0 or raw.max() > 1:
            raise EdgekitError("a probability is outside 0-1", where=task.name, fix="say what it is: form: logits")
        return raw

    def mask_nodes(self, task: Task, nodes: Nodes) -> str:
        positive = nodes.node("Greater", [nodes.large_logits(), nodes.constant("zero", 0.0)], "positive")
        return nodes.decided(nodes.as_float(positive, "positive.float"))

    def confidence_nodes(self, task: Task, nodes: Nodes) -> str:
        """The winner's probability is the sigmoid of the logit's size."""
        levels = nodes.constant("levels", 255.0)
        size = nodes.node("Abs", [nodes.large_logits()], "size")
        scaled = nodes.node("Mul", [nodes.node("Sigmoid", [size], "winner"), levels], "winner.scaled")
        return nodes.decided(nodes.node("Round", [scaled], "winner.rounded"))

    def probabilities_nodes(self, task: Task, nodes: Nodes) -> str:
        return nodes.node("Sigmoid", [nodes.logits()], "probability")
