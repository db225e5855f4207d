"""What a distillation loss is, and how detailed the stored targets must be for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Detail = Literal["argmax", "topk", "full"]
"""How much of a class distribution the target store keeps, from least to most."""
DETAILS: tuple[Detail, ...] = get_args(Detail)


class LossConfig(BaseModel):
    """Settings every distillation loss has."""

    model_config = ConfigDict(extra="forbid")
    weight: float = Field(1.0, ge=0, description="factor in the sum of losses; 0 switches it off")


class DistillationLoss(ABC):
    """Student against ensemble, for the kinds of task that it names.

    ``needs`` is the least detail of the class distribution that the target store must keep (regression targets are
    always kept whole). ``__call__(raw, soft, weight)``: the student's raw output (N, C, h, w), the ensemble's soft
    prediction (N, C, h, w), and a weight ≥ 0 per pixel (N, h, w), 0 outside the frame; returns a scalar.
    """

    Config: ClassVar[type[LossConfig]] = LossConfig
    kinds: ClassVar[frozenset[str]]
    needs: ClassVar[Detail] = "full"

    def __init__(self, config: LossConfig):
        self.config = config

    @abstractmethod
    def __call__(self, raw: Tensor, soft: Tensor, weight: Tensor) -> Tensor:
        """The loss of one task and batch."""


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Σ values·weight / Σ weight; 0 (with a gradient) where the weights sum to 0. Both (N, h, w)."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)


def log_probabilities(soft: Tensor) -> Tensor:
    """Logits of an averaged prediction: its log-probabilities, with the target store's smallest value as floor."""
    return soft.clamp(min=1e-5).log()
