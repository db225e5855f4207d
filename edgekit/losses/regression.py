"""Regression targets: log-L1 for depth, cosine for normals."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edgekit.losses.loss import DistillationLoss, weighted_mean


class RegressionLoss(DistillationLoss):
    """|student − ensemble| in encoded units; for metric depth that is the log-L1 up to a constant."""

    kinds = frozenset({"depth"})
    needs = "argmax"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        return weighted_mean((raw - soft).abs().mean(dim=1), weight)


class NormalsLoss(DistillationLoss):
    """1 − cosine of the angle between student and ensemble."""

    kinds = frozenset({"normals"})
    needs = "argmax"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        return weighted_mean(1.0 - F.cosine_similarity(raw, soft, dim=1), weight)
