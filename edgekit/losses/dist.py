"""DIST: match the correlations of predictions, not their values (Huang et al., arXiv 2205.10536)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from edgekit.losses.loss import DistillationLoss, LossConfig, log_probabilities, weighted_mean


class DISTConfig(LossConfig):
    temperature: float = Field(1.0, gt=0, le=20)
    inter: float = Field(1.0, ge=0, description="β: correlation over the classes of a pixel")
    intra: float = Field(1.0, ge=0, description="γ: correlation over the pixels of a class")


class DISTLoss(DistillationLoss):
    """β·(1 − Pearson over classes, per pixel) + γ·(1 − Pearson over pixels, per class and frame)."""

    Config = DISTConfig
    kinds = frozenset({"semantic"})
    needs = "full"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        temperature = self.config.temperature
        student = (raw / temperature).softmax(dim=1)
        teacher = (log_probabilities(soft) / temperature).softmax(dim=1)
        inter = weighted_mean(1.0 - _pearson(student, teacher, dim=1), weight)
        inside = weight.flatten(1)[:, None]  # (N, 1, h·w)
        intra = 1.0 - _pearson(student.flatten(2), teacher.flatten(2), dim=2, weight=inside)
        has_pixels = (inside.sum(dim=2) > 0).expand_as(intra)
        return self.config.inter * inter + self.config.intra * weighted_mean(intra, has_pixels.to(intra.dtype))


def _pearson(a: Tensor, b: Tensor, *, dim: int, weight: Tensor | None = None) -> Tensor:
    """Weighted Pearson correlation along ``dim``."""
    if weight is None:
        weight = a.new_ones(())
    total = weight.expand_as(a).sum(dim=dim, keepdim=True).clamp(min=1e-6)
    a = a - (a * weight).sum(dim=dim, keepdim=True) / total
    b = b - (b * weight).sum(dim=dim, keepdim=True) / total
    covariance = (weight * a * b).sum(dim=dim)
    variance = (weight * a * a).sum(dim=dim) * (weight * b * b).sum(dim=dim)
    # The constant keeps the gradient finite where a class is (almost) absent from a frame.
    return covariance / (variance + 1e-12).sqrt()
