"""Camera normals: any 3-vector in, a unit vector out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.heads.head import Head, inverse_variance, masked_mean
from edgekit.tasks import Task


class NormalsHead(Head):
    def soften(self, raw: Tensor) -> Tensor:
        return F.normalize(raw, dim=1)

    def mirror(self, soft: Tensor) -> Tensor:
        return soft.flip(-1) * soft.new_tensor([-1.0, 1.0, 1.0])[:, None, None]

    def mirror_vertical(self, soft: Tensor) -> Tensor:
        return soft.flip(-2) * soft.new_tensor([1.0, -1.0, 1.0])[:, None, None]

    def zoom(self, task: Task, soft: Tensor, factor: float) -> Tensor:
        return F.normalize(soft * soft.new_tensor([1.0, 1.0, factor])[:, None, None], dim=1)

    def agreement_weight(self, agreement: Tensor) -> Tensor:
        return inverse_variance(agreement)

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """1 − cosine of the angle; both (N, 3, H, W), NaN = no label."""
        valid = torch.isfinite(label).all(dim=1)
        return masked_mean(1.0 - F.cosine_similarity(raw, label.nan_to_num(), dim=1), valid)

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        cosine = F.cosine_similarity(raw, label, dim=1).clamp(-1.0, 1.0)
        return "angle", float(torch.rad2deg(cosine.acos()).nanmean())

    def aggregate(self, average: str = "probability") -> DirectionAggregate:
        return DirectionAggregate()


class DirectionAggregate:
    """Mean direction of unit vectors; disagreement = 1 − length of their mean (directional statistics' variance)."""

    def __init__(self) -> None:
        self.members = 0
        self.total: Tensor | None = None

    def add(self, soft: Tensor) -> None:
        self.total = soft.clone() if self.total is None else self.total + soft
        self.members += 1

    def mean(self) -> Tensor:
        return F.normalize(self.total, dim=1)

    def disagreement(self) -> Tensor:
        return (1.0 - (self.total / self.members).norm(dim=1)).clamp(0.0, 1.0)
