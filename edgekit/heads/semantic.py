"""Semantic segmentation: logits in, class probabilities out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.heads.head import Head, masked_mean, one_hot
from edgekit.heads.nodes import Nodes
from edgekit.tasks.task import IGNORE, Task


class SemanticHead(Head):
    stored_answer, native_answer = "probabilities", "indices"

    def activation(self, raw: Tensor) -> Tensor:
        return raw.softmax(dim=1)

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Cross-entropy; raw (N, C, H, W), label (N, H, W) int64 with 255 = ignore."""
        loss = F.cross_entropy(raw, label, ignore_index=IGNORE, reduction="none")
        labelled = label != IGNORE
        if class_weights is None:
            return masked_mean(loss, labelled)
        weight = class_weights[label.where(labelled, 0)] * labelled
        return (loss * weight).sum() / weight.sum().clamp(min=1e-6)

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        labelled = label != IGNORE
        return "accuracy", float((raw.argmax(dim=1) == label)[labelled].float().mean())

    def aggregate(self, average: str = "probability") -> VoteAggregate:
        return VoteAggregate(average)

    def answers(self, task: Task) -> tuple[str, ...]:
        return ("logits", "probabilities", "indices")

    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        if form == "indices":
            return one_hot(raw, classes)
        if form == "logits":
            return raw.softmax(dim=1)
        if raw.min() < 0:
            raise EdgekitError("a probability is negative", where=task.name, fix="say what it is: form: logits")
        return raw

    def project(self, soft: Tensor) -> Tensor:
        """Shares of 1; where nothing is known of a pixel, every class alike."""
        soft = soft.clamp(min=0)
        total = soft.sum(dim=1, keepdim=True)
        return torch.where(total > 1e-6, soft / total.clamp(min=1e-6), soft.new_tensor(1 / soft.shape[1]))

    def classes_nodes(self, task: Task, nodes: Nodes) -> str:
        index = nodes.node("ArgMax", [nodes.large_logits()], "argmax", axis=1, keepdims=1)
        return nodes.decided(nodes.as_float(index, "argmax.float"))

    def confidence_nodes(self, task: Task, nodes: Nodes) -> str:
        """The winner's power is exp(0), over the sum of the powers."""
        levels = nodes.constant("levels", 255.0)
        _, total = nodes.powers(nodes.large_logits())
        scaled = nodes.node("Div", [levels, total], "winner.scaled")
        return nodes.decided(nodes.node("Round", [scaled], "winner.rounded"))

    def probabilities_nodes(self, task: Task, nodes: Nodes) -> str:
        """Not by Softmax: over channels onnxruntime transposes there and back, ten times the cost."""
        powers, total = nodes.powers(nodes.logits())
        return nodes.node("Div", [powers, total], "probability")


class VoteAggregate:
    """Mean of probabilities or of log-probabilities; disagreement = share of members that vote for another class."""

    def __init__(self, average: str = "probability"):
        self.average = average
        self.members = 0
        self.total: Tensor | None = None
        self.votes: Tensor | None = None

    def add(self, soft: Tensor) -> None:
        value = soft.clamp(min=1e-7).log() if self.average == "logit" else soft
        if self.total is None:
            self.total = torch.zeros_like(value)
            self.votes = torch.zeros_like(value)
        self.total += value
        self.votes.scatter_add_(1, soft.argmax(dim=1, keepdim=True), torch.ones_like(soft[:, :1]))
        self.members += 1

    def mean(self) -> Tensor:
        mean = self.total / self.members
        return mean.softmax(dim=1) if self.average == "logit" else mean

    def disagreement(self) -> Tensor:
        winner = self.total.argmax(dim=1, keepdim=True)
        return 1.0 - self.votes.gather(1, winner)[:, 0] / self.members
