"""Camera normals: any 3-vector in, a unit vector out."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.heads.head import Head, inverse_variance, masked_mean
from edgekit.heads.nodes import Nodes
from edgekit.tasks import Task

_LEAST_LENGTH = 1e-6  # of a vector that has a direction, as in the kind's numpy half


class NormalsHead(Head):
    stored_answer, native_answer = "stored", "unit"

    def activation(self, raw: Tensor) -> Tensor:
        return F.normalize(raw, dim=1)

    def reorient(self, task: Task, soft: Tensor, turn: tuple[float, float], zoom: float) -> Tensor:
        """x and y turn with the frame, z grows with the zoom; the length is 1 again."""
        turned = soft * soft.new_tensor([*turn, zoom])[:, None, None]
        return turned if zoom == 1.0 else F.normalize(turned, dim=1)

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

    def answers(self, task: Task) -> tuple[str, ...]:
        return ("unit", "stored")

    def answer(self, task: Task, raw: Tensor, form: str, classes: int) -> Tensor:
        return 2 * raw - 1 if form == "stored" else raw

    def project(self, soft: Tensor) -> Tensor:
        """Length 1; what has no direction faces the camera."""
        facing = soft.new_tensor([0.0, 0.0, -1.0])[:, None, None]
        length = soft.norm(dim=1, keepdim=True)
        return torch.where(length > _LEAST_LENGTH, soft / length.clamp(min=_LEAST_LENGTH), facing)

    def normals_nodes(self, task: Task, nodes: Nodes) -> str:
        x = nodes.logits()
        square = nodes.channel_sum(nodes.node("Mul", [x, x], "squares"), "square")
        length = nodes.node("Sqrt", [square], "length")
        least = nodes.constant("least_length", _LEAST_LENGTH)
        unit = nodes.node("Div", [x, nodes.node("Max", [length, least], "safe")], "unit")
        facing = nodes.constant("facing", np.array([0, 0, -1]).reshape(1, 3, 1, 1))
        return nodes.node("Where", [nodes.node("Greater", [length, least], "directed"), unit, facing], "vector")


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
