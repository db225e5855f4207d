"""Soft targets with temperature (Hinton et al., arXiv 1503.02531), per pixel."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from edgekit.losses.loss import DistillationLoss, LossConfig, log_probabilities, weighted_mean


class SoftConfig(LossConfig):
    temperature: float = Field(1.0, gt=0, le=20, description="T; 1-4 in the literature")


class SoftLoss(DistillationLoss):
    """T²·KL(teacher^(1/T) ‖ student^(1/T)), mean over pixels by weight; for binary maps the two-class form."""

    Config = SoftConfig
    kinds = frozenset({"semantic", "binary"})
    needs = "topk"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        temperature = self.config.temperature
        if raw.shape[1] == 1:
            teacher = (log_probabilities(soft) - log_probabilities(1.0 - soft)) / temperature
            teacher = teacher.sigmoid()
            student = raw / temperature
            cross = F.binary_cross_entropy_with_logits(student, teacher, reduction="none")
            entropy = F.binary_cross_entropy(teacher, teacher, reduction="none")
            return temperature**2 * weighted_mean((cross - entropy)[:, 0], weight)
        teacher = (log_probabilities(soft) / temperature).log_softmax(dim=1)
        student = (raw / temperature).log_softmax(dim=1)
        divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)
        return temperature**2 * weighted_mean(divergence, weight)
