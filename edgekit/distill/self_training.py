"""What a teacher of the second generation minimises: its own losses, and those of a student on the first's targets."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgekit.data.batches import Batch
from edgekit.distill.config import DistillConfig
from edgekit.distill.objective import Distillation
from edgekit.teachers.objective import TeacherObjective


class SelfTrainingObjective(TeacherObjective):
    """``TeacherObjective`` and the recipe's distillation losses, of the same pass with its masking."""

    def __init__(self, *settings: Any, distill: DistillConfig):
        super().__init__(*settings)
        self._distillation = Distillation(self._network.tasks, distill, self._supervision)

    def _more_terms(self, batch: Batch, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for task in self._network.tasks:
            found |= self._distillation(task, raw[task.name], batch)
        return found
