"""From what a teacher from elsewhere says to the soft maps that an ensemble averages."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.classes import class_matrix
from edgekit.teachers.external.config import OutputConfig
from edgekit.teachers.external.inputs import resized

# kind of task -> the forms an output may have; the first where nothing is said
FORMS = {
    "semantic": ("logits", "probabilities", "indices"),
    "binary": ("logits", "probabilities", "indices"),
    "depth": ("metres", "relative"),
    "normals": ("unit", "stored"),
    "modality": ("values",),
}
IGNORE = 255


class Output:
    """One output's way to one task. ``usual``: the form where the recipe says none.

    EdgekitError, naming the class or form, for a mapping that does not fit.
    """

    def __init__(self, task: Task, config: OutputConfig, where: str, *, usual: str | None = None):
        self.task = task
        self._config = config
        self._where = where
        relative = task.kind == "depth" and not task.unit
        self.form = config.form or usual or ("relative" if relative else FORMS[task.kind][0])
        if self.form not in FORMS[task.kind] or (self.form == "metres" and relative):
            allowed = ["relative"] if relative else FORMS[task.kind]
            raise EdgekitError(
                f"'{self.form}' is no form of '{task.name}' ({task.kind}{', 0-1' if relative else ''})",
                where=f"{where}.form",
                fix=f"use {' or '.join(allowed)}",
            )
        if task.kind == "depth" and task.unit and self.form == "relative":
            raise EdgekitError(
                f"a relative depth cannot answer for '{task.name}', which is in metres",
                where=f"{where}.form",
                fix="use a teacher that says metres, or give it the role modality",
            )
        if task.kind == "semantic":
            self.theirs = list(config.classes or task.classes)
            matrix = class_matrix(task.classes, self.theirs, config.merge, config.ignore, where)
            self._matrix = torch.from_numpy(matrix)
        elif config.classes or config.merge or config.ignore:
            raise EdgekitError(f"'{task.name}' is {task.kind}: it has no classes", where=f"{where}.classes")

    def _channels(self, form: str) -> int:
        """How many channels an output of this form must have (1 for indices)."""
        if form == "indices":
            return 1
        return len(self.theirs) if self.task.kind == "semantic" else kind_of(self.task).channels(self.task)

    def soft(self, raw: Tensor, size: tuple[int, int]) -> Tensor:
        """raw (1, C, h, w) as the teacher says it → soft (1, C, *size): probabilities, encoded depth, unit normals.

        EdgekitError for another number of channels, and for values that are none of the form.
        """
        if self._config.channels:
            first, last = self._config.channels
            if last > raw.shape[1]:
                raise self._misfit(f"channels {first} to {last - 1} are wanted, and the output has {raw.shape[1]}")
            raw = raw[:, first:last]
        # whole numbers in one channel are indices, unless the recipe says what else
        told = self._config.form is None and raw.shape[1] == 1 and not raw.is_floating_point()
        form = "indices" if told and "indices" in FORMS[self.task.kind] else self.form
        if raw.shape[1] != self._channels(form):
            names = f": {', '.join(self.theirs)}" if self.task.kind == "semantic" and form != "indices" else ""
            raise self._misfit(f"the output has {raw.shape[1]} channels, expected {self._channels(form)}{names}")
        if form != "indices":
            raw = raw.float()
            if self._config.mean is not None:
                raw = self._unstandardised(raw)
            if not torch.isfinite(raw).all():
                raise self._misfit("the output is NaN or infinite in some pixels, and a teacher must answer for all")
        return getattr(self, f"_{self.task.kind}")(raw, size, form)

    def _unstandardised(self, raw: Tensor) -> Tensor:
        mean, std = (raw.new_tensor(v)[:, None, None] for v in (self._config.mean, self._config.std))
        for key, value in (("mean", mean), ("std", std)):
            if len(value) not in (1, raw.shape[1]):
                raise self._misfit(f"{key} has {len(value)} entries, and the output has {raw.shape[1]} channels")
        return raw * std + mean

    def _semantic(self, raw: Tensor, size: tuple[int, int], form: str) -> Tensor:
        if form == "indices":
            raw = self._one_hot(raw, len(self.theirs))
        elif form == "logits":
            raw = raw.softmax(dim=1)
        elif raw.min() < 0:
            raise self._misfit("a probability is negative", fix="say what it is: form: logits")
        ours = torch.einsum("ot,nthw->nohw", self._matrix.to(raw.device), raw)
        ours = resized(ours, size).clamp(min=0)
        total = ours.sum(dim=1, keepdim=True)
        # where all the teacher says is ignored, it does not know: every class alike
        return torch.where(total > 1e-6, ours / total.clamp(min=1e-6), ours.new_tensor(1 / ours.shape[1]))

    def _one_hot(self, raw: Tensor, count: int) -> Tensor:
        index = raw[:, 0].long()
        wrong = (index < 0) | ((index >= count) & (index != IGNORE))
        if wrong.any():
            raise self._misfit(f"the output has class {int(index[wrong][0])}, and the teacher has {count} classes")
        known = (index != IGNORE)[:, None]
        return torch.zeros(len(index), count, *index.shape[1:], device=raw.device).scatter_(
            1, index.where(known[:, 0], torch.zeros_like(index))[:, None], known.float()
        )

    def _binary(self, raw: Tensor, size: tuple[int, int], form: str) -> Tensor:
        if form == "indices":
            both = self._one_hot(raw, 2)
            raw = both[:, 1:] + 0.5 * (1 - both.sum(dim=1, keepdim=True))  # unknown: as likely as not
        elif form == "logits":
            raw = raw.sigmoid()
        elif raw.min() < 0 or raw.max() > 1:
            raise self._misfit("a probability is outside 0-1", fix="say what it is: form: logits")
        return resized(raw, size)

    def _depth(self, raw: Tensor, size: tuple[int, int], form: str) -> Tensor:
        encoded = kind_of(self.task).encode(self.task, raw[0, 0].cpu().numpy())
        return resized(torch.from_numpy(encoded).permute(2, 0, 1)[None].to(raw.device), size).clamp(0, 1)

    def _normals(self, raw: Tensor, size: tuple[int, int], form: str) -> Tensor:
        vectors = resized(2 * raw - 1 if form == "stored" else raw, size)
        facing = vectors.new_tensor([0.0, 0.0, -1.0])[:, None, None]
        length = vectors.norm(dim=1, keepdim=True)
        return torch.where(length > 1e-6, vectors / length.clamp(min=1e-6), facing)

    def _modality(self, raw: Tensor, size: tuple[int, int], form: str) -> Tensor:
        return resized(raw, size)

    def native(self, soft: Tensor) -> np.ndarray:
        """A soft map (1, C, H, W) as the task's native map."""
        return kind_of(self.task).decode(self.task, soft[0].cpu().numpy())

    def _misfit(self, what: str, fix: str | None = None) -> EdgekitError:
        return EdgekitError(f"'{self.task.name}': {what}", where=self._where, fix=fix)
