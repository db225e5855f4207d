"""From the raw outputs of an external teacher to the soft maps that an ensemble averages."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.heads import HEADS
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.classes import class_matrix
from edgekit.teachers.external.config import OutputConfig
from edgekit.teachers.external.inputs import resized_to

_FIX = "name another output, or say what it holds: channels, classes, form, layout, mean and std"


class ExternalOutput:
    """Turns one output into soft maps of one task. ``default``: its form where the recipe names none.

    EdgekitError, naming the class or form, for settings that do not fit the task.
    """

    def __init__(self, task: Task, config: OutputConfig, where: str, default: str | None = None):
        self.task = task
        self._config = config
        self._where = where
        self._head = HEADS[task.kind]
        self._allowed = self._head.answers(task)
        self.form = config.form or default or self._allowed[0]
        if self.form not in self._allowed:
            raise EdgekitError(
                f"'{self.form}' is no form of '{task.name}', which is {task.kind} in {task.unit or 'no unit'}",
                where=f"{where}.form",
                fix=f"use {' or '.join(self._allowed)}, or give the teacher the role modality",
            )
        self.theirs = list(config.classes or task.classes)
        self._matrix: Tensor | None = None
        if task.classes:
            matrix = class_matrix(task.classes, self.theirs, config.merge, config.ignore, where)
            if not np.array_equal(matrix, np.eye(len(matrix))):
                self._matrix = torch.from_numpy(matrix)
        elif config.classes or config.merge or config.ignore:
            raise EdgekitError(
                f"'{task.name}' is {task.kind}: it has no classes",
                where=f"{where}.classes",
                fix="leave classes, merge and ignore out",
            )

    def _channels(self, form: str) -> int:
        """How many channels an output of this form must have (1 for indices)."""
        if form == "indices":
            return 1
        return len(self.theirs) if self.task.classes else kind_of(self.task).channels(self.task)

    def soft(self, raw: Tensor, size: tuple[int, int]) -> Tensor:
        """raw (1, C, h, w) of the teacher → soft (1, C, *size): probabilities, encoded depth, unit normals.

        EdgekitError for another number of channels, and for values that the form cannot have.
        """
        if self._config.channels:
            first, last = self._config.channels
            if last > raw.shape[1]:
                raise self._misfit(f"channels {first} to {last - 1} are wanted, and the output has {raw.shape[1]}")
            raw = raw[:, first:last]
        # integers in one channel are indices, unless the recipe names another form
        integers = self._config.form is None and raw.shape[1] == 1 and not raw.is_floating_point()
        form = "indices" if integers and "indices" in self._allowed else self.form
        if raw.shape[1] != self._channels(form):
            names = f": {', '.join(self.theirs)}" if self.task.classes and form != "indices" else ""
            raise self._misfit(f"the output has {raw.shape[1]} channels, expected {self._channels(form)}{names}")
        if form != "indices":
            raw = raw.float()
            if self._config.mean is not None:
                raw = self._unstandardised(raw)
            if not torch.isfinite(raw).all():
                raise self._misfit("the output is NaN or infinite in some pixels, and every pixel needs a prediction")
        try:
            soft = self._head.answer(self.task, raw, form, len(self.theirs))
        except EdgekitError as error:
            raise self._misfit(error.what, error.fix) from error
        if self._matrix is not None:
            soft = torch.einsum("ot,nthw->nohw", self._matrix.to(soft.device), soft)
        return self._head.project(resized_to(soft, size))

    def _unstandardised(self, raw: Tensor) -> Tensor:
        mean, std = (raw.new_tensor(v)[:, None, None] for v in (self._config.mean, self._config.std))
        for key, value in (("mean", mean), ("std", std)):
            if len(value) not in (1, raw.shape[1]):
                raise self._misfit(f"{key} has {len(value)} entries, and the output has {raw.shape[1]} channels")
        return raw * std + mean

    def native(self, soft: Tensor) -> np.ndarray:
        """A soft map (1, C, H, W) as the task's native map."""
        return kind_of(self.task).decode(self.task, soft[0].cpu().numpy())

    def _misfit(self, what: str, fix: str | None = None) -> EdgekitError:
        return EdgekitError(f"'{self.task.name}': {what}", where=self._where, fix=fix or _FIX)
