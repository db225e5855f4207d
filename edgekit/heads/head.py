"""What a network's raw output means for one kind of task, in torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.tasks.task import IGNORE, Task


class Aggregate(Protocol):
    """Streaming mean and disagreement over ensemble members; memory does not grow with their number."""

    def add(self, soft: Tensor) -> None:
        """Take one member's soft prediction, (N, C, H, W)."""

    def mean(self) -> Tensor:
        """The ensemble's soft prediction, (N, C, H, W)."""

    def disagreement(self) -> Tensor:
        """How much the members differ per pixel, (N, H, W) in [0, 1]; 0: they all agree."""


class Head(ABC):
    """One kind's torch half: the interface for training, ensembles, external teachers and export.

    *raw* is what the network emits; *soft* is what is averaged, stored and distilled:
    probabilities (semantic, binary), encoded depth in [0, 1], unit normals. Both are (N, C, H, W) float32.
    Labels come as ``edgekit.data.batches`` makes them: (N, C, H, W) network units with NaN where invalid,
    or for tasks with classes (N, H, W) int64 class indices with 255 = ignore.

    losses          names of edgekit's distillation losses for such a task, beside those that name the kind themselves;
                    the first is used where a recipe names none
    stored_answer   the form of predictions on disk by default; None: the first
    native_answer   the form of the kind's own native maps; None: the first

    For every form of the kind there is a method ``<form>_nodes(task, nodes)``, which appends to a graph what makes that
    form of the logits and returns the last tensor's name: see ``Nodes``.
    """

    losses: tuple[str, ...] = ()
    stored_answer: str | None = None
    native_answer: str | None = None

    @abstractmethod
    def activation(self, raw: Tensor) -> Tensor:
        """raw (N, C, H, W) → soft (N, C, H, W)."""

    def reorient(self, task: Task, soft: Tensor, turn: tuple[float, float], zoom: float) -> Tensor:
        """The values of a soft map after the frame is mirrored and enlarged; the caller moves its pixels.

        ``turn``: the signs of x and y. The enlarged frame is what the camera would see of a scene pressed together
        along its axis by ``zoom``.
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
        """A fresh streaming mean; ``average`` is ``probability`` or ``logit``, for kinds where these differ."""

    @abstractmethod
    def answers(self, task: Task) -> tuple[str, ...]:
        """The forms in which an external teacher may answer for the task; the first is the default."""

    @abstractmethod
    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        """An external teacher's answer (1, C, h, w) of that form, float, as a soft map, at its own resolution.

        ``indices`` are whole numbers (1, 1, h, w). ``classes``: how many the teacher has. EdgekitError for values
        that do not fit the form.
        """

    def project(self, soft: Tensor) -> Tensor:
        """The nearest valid soft map to one whose pixels were interpolated."""
        return soft


def one_hot(index: Tensor, count: int) -> Tensor:
    """(1, 1, h, w) whole numbers → (1, count, h, w) float, all zero where it is 255. EdgekitError for no class."""
    index = index[:, 0].long()
    known = index != IGNORE
    wrong = (index < 0) | ((index >= count) & known)
    if wrong.any():
        raise EdgekitError(
            f"the output has class {int(index[wrong][0])}, and the teacher has {count} classes",
            where="the output",
            fix="list all of the teacher's classes, in its order, or say what the output is: form",
        )
    zeros = torch.zeros(len(index), count, *index.shape[1:], device=index.device)
    return zeros.scatter_(1, index.where(known, torch.zeros_like(index))[:, None], known[:, None].float())


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
