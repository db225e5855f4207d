"""Semantic segmentation: logits in, class probabilities out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.heads.head import Head, masked_mean

IGNORE = 255


class SemanticHead(Head):
    def soften(self, raw: Tensor) -> Tensor:
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
