"""What a network's raw output means for one kind of task, in torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor

from edgekit.tasks import Task


class Aggregate(Protocol):
    """Streaming mean and disagreement over ensemble members; memory does not grow with their number."""

    def add(self, soft: Tensor) -> None:
        """Take one member's soft prediction, (N, C, H, W)."""

    def mean(self) -> Tensor:
        """The ensemble's soft prediction, (N, C, H, W)."""

    def disagreement(self) -> Tensor:
        """How much the members differ per pixel, (N, H, W) in [0, 1]; 0: they all say the same."""


class Head(ABC):
    """One kind's torch half: raw output → soft prediction, its mirror image, its supervised loss, its ensemble mean.

    *raw* is what the network emits; *soft* is what is averaged, stored and distilled:
    probabilities (semantic, binary), encoded depth in [0, 1], unit normals. Both are (N, C, H, W) float32.
    Labels come as ``edgekit.data.batches`` makes them: (N, C, H, W) network units with NaN where invalid,
    or for semantic (N, H, W) int64 class indices with 255 = ignore.
    """

    @abstractmethod
    def soften(self, raw: Tensor) -> Tensor:
        """raw (N, C, H, W) → soft (N, C, H, W)."""

    def mirror(self, soft: Tensor) -> Tensor:
        """The soft prediction of the left-right mirrored frame."""
        return soft.flip(-1)

    def mirror_vertical(self, soft: Tensor) -> Tensor:
        """The soft prediction of the top-bottom mirrored frame."""
        return soft.flip(-2)

    def zoom(self, task: Task, soft: Tensor, factor: float) -> Tensor:
        """What this soft prediction says of the same pixels in a frame enlarged by ``factor`` (not resampled here).

        The frame enlarged is what the camera would see of a scene pressed together along its axis.
        """
        return soft

    @abstractmethod
    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        """(name, value) of a quick score of one batch for the progress bar; NaN where nothing is labelled."""

    def agreement_weight(self, agreement: Tensor) -> Tensor:
        """Pixel weights ≥ 0 from agreement in [0, 1], (N, h, w); 0 stays 0 (outside the frame)."""
        return agreement

    @abstractmethod
    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Mean loss over the labelled pixels, a scalar; 0 with a gradient where no pixel is labelled.

        ``class_weights`` (C,): the mean counts each pixel by its class's weight (semantic only).
        """

    @abstractmethod
    def aggregate(self, average: str = "probability") -> Aggregate:
        """A fresh streaming mean; ``average`` is ``probability`` or ``logit`` where the kind knows the difference."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``, 0 (with a gradient) where nothing is masked in. Same shapes."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def inverse_variance(agreement: Tensor) -> Tensor:
    """1 / (1 + (d/d̄)²) with d = 1 − agreement, d̄ its mean inside the frames: pixels the members differ on count less.

    For regression, where d is small everywhere and 1 − d would weight nothing.
    """
    inside = agreement > 0
    disagreement = (1.0 - agreement) * inside
    usual = disagreement.sum() / inside.sum().clamp(min=1)
    return inside / (1.0 + (disagreement / usual.clamp(min=1e-6)).square())
