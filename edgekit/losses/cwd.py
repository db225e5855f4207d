"""Channel-wise distillation (Shu et al., arXiv 2011.13256)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from edgekit.losses.loss import DistillationLoss, LossConfig, log_probabilities


class CWDConfig(LossConfig):
    temperature: float = Field(4.0, gt=0, le=20, description="T; the paper's is 4")


class CWDLoss(DistillationLoss):
    """T²/C·Σ_c KL(softmax over pixels of the teacher's channel c ‖ the student's), mean over frames.

    A pixel counts in both distributions by its weight, as if it were there that many times. (Weighting the terms of the
    sum instead would move the minimum away from the teacher.) All weights equal: the paper's loss.
    """

    Config = CWDConfig
    kinds = frozenset({"semantic"})
    needs = "full"

    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        temperature = self.config.temperature
        weight = weight.flatten(1)[:, None]  # (N, 1, h·w)
        outside = weight <= 0
        # Frames with nothing inside have no distribution; any finite one will do, as their terms are left out below.
        measure = weight.log().masked_fill(outside.all(dim=2, keepdim=True), 0.0)
        log_t = (log_probabilities(soft).flatten(2) / temperature + measure).log_softmax(dim=2)
        log_s = (raw.flatten(2) / temperature + measure).log_softmax(dim=2)
        terms = (log_t.exp() * (log_t - log_s)).masked_fill(outside, 0.0)  # (N, C, h·w)
        return temperature**2 * terms.sum(dim=2).mean()
