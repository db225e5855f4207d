"""The supervised half of a loss, the same for teachers and students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.heads.registry import HEADS
from edgekit.tasks import Task


class Supervision:
    """Each task's loss against its labels, times the task's weight.

    ``weights`` one per task; ``class_weights`` one list per semantic task whose classes do not count alike.
    """

    def __init__(self, weights: Mapping[str, float], class_weights: Mapping[str, Sequence[float]] | None = None):
        self.weights = dict(weights)
        self._last: dict[str, tuple[Task, Tensor, Tensor]] = {}
        self._class_weights = {name: torch.tensor(list(w)) for name, w in (class_weights or {}).items()}

    def __call__(self, task: Task, raw: Tensor, label: Tensor) -> Tensor:
        """raw (N, C, h, w) at the network's stride, label at the crop's size → a scalar."""
        raw = F.interpolate(raw, size=label.shape[-2:], mode="bilinear", align_corners=False)
        self._last[task.name] = (task, raw.detach(), label)
        classes = self._class_weights.get(task.name)
        classes = None if classes is None else classes.to(raw.device)
        return self.weights[task.name] * HEADS[task.kind].supervised(raw, label, classes)

    def class_weight(self, task: Task, soft: Tensor) -> Tensor | float:
        """What a pixel counts by the classes it probably is: Σ p·weight, (N, h, w); 1 where all classes count alike."""
        classes = self._class_weights.get(task.name)
        return 1.0 if classes is None else torch.einsum("nchw,c->nhw", soft, classes.to(soft.device))

    def scores(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """The terms of a loss, and a quick score per task on the labels of the last call, where a pixel is labelled."""
        found = {f"{name} loss": float(value.detach()) for name, value in terms.items()}
        for name, (task, raw, label) in self._last.items():
            metric, value = HEADS[task.kind].score(raw, label)
            if value == value:
                found[f"{name} {metric}"] = value
        return found
