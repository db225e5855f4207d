"""Binary maps: one logit in, one probability out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.heads.head import Head, masked_mean
from edgekit.heads.spread import SpreadAggregate


class BinaryHead(Head):
    def soften(self, raw: Tensor) -> Tensor:
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
