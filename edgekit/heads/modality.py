"""Modalities: inputs that no network predicts."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.heads.head import Aggregate, Head
from edgekit.tasks import Task


class ModalityHead(Head):
    def activation(self, raw: Tensor) -> Tensor:
        return raw

    def reorient(self, task: Task, soft: Tensor, turn: tuple[float, float], zoom: float) -> Tensor:
        """A displacement, the first two channels of a vector, turns with the frame and grows with it."""
        if not task.vector:
            return soft
        return torch.cat([soft[:, :2] * (zoom * soft.new_tensor(turn))[:, None, None], soft[:, 2:]], dim=1)

    def supervised(self, raw: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
        raise TypeError("a modality is an input: it has no loss")

    def score(self, raw: Tensor, label: Tensor) -> tuple[str, float]:
        raise TypeError("a modality is an input: it has no score")

    def aggregate(self, average: str = "probability") -> Aggregate:
        raise TypeError("a modality is an input: no ensemble predicts it")

    def answers(self, task: Task) -> tuple[str, ...]:
        return ("values",)

    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        return raw
