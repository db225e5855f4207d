"""Hard pseudo-labels: the ensemble's class where it is sure enough."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from edgekit.losses.loss import DistillationLoss, LossConfig, weighted_mean


class HardConfig(LossConfig):
    threshold: float = Field(0.0, ge=0, lt=1, description="pixels whose winning probability is lower are left out")


class HardLoss(DistillationLoss):
    """Cross-entropy with the ensemble's argmax, over pixels whose winning probability reaches the threshold."""

    Config = HardConfig
    kinds = frozenset({"semantic", "binary"})
    needs = "argmax"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        if raw.shape[1] == 1:
            label = (soft > 0.5).to(raw.dtype)
            loss = F.binary_cross_entropy_with_logits(raw, label, reduction="none")[:, 0]
            confidence = (soft - 0.5).abs()[:, 0] + 0.5
        else:
            confidence, label = soft.max(dim=1)
            loss = F.cross_entropy(raw, label, reduction="none")
        return weighted_mean(loss, weight * (confidence >= self.config.threshold))
