"""Channel-wise distillation (Shu et al., arXiv 2011.13256)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from edgekit.losses.loss import DistillationLoss, LossConfig, log_probabilities


class CWDConfig(LossConfig):
    temperature: float = Field(4.0, gt=0, le=20, description="T; the paper's is 4")


class CWDLoss(DistillationLoss):
    """T²/C·Σ_c KL(softmax over pixels of the teacher's channel c ‖ the student's), mean over frames.

    Pixels of weight 0 are outside the softmax of both; other weights multiply their pixel's term.
    """

    Config = CWDConfig
    kinds = frozenset({"semantic"})
    needs = "full"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        temperature = self.config.temperature
        outside = (weight <= 0).flatten(1)[:, None]  # (N, 1, h·w)
        teacher = (log_probabilities(soft).flatten(2) / temperature).masked_fill(outside, -torch.inf)
        student = (raw.flatten(2) / temperature).masked_fill(outside, -torch.inf)
        log_t, log_s = teacher.log_softmax(dim=2), student.log_softmax(dim=2)
        terms = log_t.exp() * (log_t - log_s).masked_fill(outside, 0.0)  # (N, C, h·w)
        terms = (terms * weight.flatten(1)[:, None]).masked_fill(outside, 0.0)
        empty = outside.all(dim=2)[..., None]  # frames with nothing inside have no distribution
        return temperature**2 * terms.masked_fill(empty, 0.0).sum(dim=2).mean()
