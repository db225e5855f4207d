"""What the student minimises: supervised losses on labelled frames, distillation losses on all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.data.batches import Batch
from edgekit.distill.config import DistillConfig, teaches
from edgekit.heads import HEADS, Supervision
from edgekit.losses import LOSSES
from edgekit.students.student import Student
from edgekit.tasks import Task
from edgekit.teachers.config import MaskingConfig
from edgekit.teachers.masking import draw_visible
from edgekit.training.precision import autocast


class Distillation:
    """The distillation losses of a network with these tasks, each times its weight and the task's."""

    def __init__(self, tasks: Sequence[Task], config: DistillConfig, supervision: Supervision):
        self._config, self._supervision = config, supervision
        self._losses = {
            name: LOSSES[name](settings) for name, settings in config.active({t.kind for t in tasks}).items()
        }

    def __call__(self, task: Task, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms of one task by name, from its raw output (N, C, H, W); none where the batch has no targets."""
        if task.name not in batch.soft:
            return {}
        head, weight = HEADS[task.kind], self._supervision.weights[task.name]
        soft, agreement = batch.soft[task.name], batch.agreement[task.name]
        if output.shape[-2:] != soft.shape[-2:]:
            output = F.interpolate(output, size=soft.shape[-2:], mode="bilinear", align_corners=False)
        pixel_weight = head.agreement_weight(agreement) if self._config.agreement else (agreement > 0).to(output.dtype)
        pixel_weight = pixel_weight * self._supervision.class_weight(task, soft)
        return {
            f"{task.name}.{name}": weight * loss.config.weight * loss(output, soft, pixel_weight)
            for name, loss in self._losses.items()
            if teaches(name, task.kind)
        }


class StudentObjective:
    """Supervised and distillation terms per task, each times the task's weight.

    ``weights``: one per task. Without targets in the batch only the supervised terms remain: the baseline.
    What the student may lack is hidden from half of the frames, each drawn by itself, a function of ``seed`` and step.
    """

    def __init__(
        self,
        student: Student,
        config: DistillConfig,
        weights: Mapping[str, float],
        class_weights: Mapping[str, Sequence[float]] | None = None,
        seed: int = 0,
    ):
        self._seed = seed
        self._student = self.forward = student
        self._config = config
        self._supervision = Supervision(weights, class_weights)
        self._distillation = Distillation(student.tasks, config, self._supervision)
        self._last: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        frames = self._frames(batch)
        with autocast(self._config.train.precision, frames.device.type):
            raw = self.forward(frames)
        terms: dict[str, Tensor] = {}
        for task in self._student.tasks:
            output = raw[task.name].float()
            if self._config.supervised:
                terms[task.name] = self._config.supervised * self._supervision(task, output, batch.labels[task.name])
            terms |= self._distillation(task, output, batch)
        self._last = terms
        return terms

    def _frames(self, batch: Batch) -> Tensor:
        """What the student sees of a batch."""
        student, frames = self._student, self._student.together(batch.inputs)
        if not student.may_lack:
            return frames
        names = [task.name for task in student.modalities]
        masking = MaskingConfig(keep=[name for name in names if name not in student.may_lack])
        rng = np.random.default_rng([self._seed, 5, batch.step, batch.part])
        seen = np.stack([draw_visible(rng, names, masking) for _ in range(len(frames))])
        return student.hide(frames, torch.from_numpy(seen))

    def scores(self) -> dict[str, float]:
        return self._supervision.scores(self._last)
