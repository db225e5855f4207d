"""An expert: a modality of the data that is a prediction of a task, as an external member of the ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.heads import HEADS
from edgekit.tasks import Task
from edgekit.teachers.external.config import ExpertConfig, OutputConfig
from edgekit.teachers.external.model import ExternalModel, Setting, as_tensor


class Expert(ExternalModel):
    """The map as it is. A network that has it among its inputs may not repeat it: trained on few labels, it overfits to
    them, and is then worse on a new scene than the expert.

    EdgekitError for a modality that the data lacks, of another kind or unit than the task, or that is the task itself.
    """

    Config = ExpertConfig
    stored = True

    def __init__(self, config: ExpertConfig, setting: Setting):
        self._config = config
        self._where = setting.where
        self._seen = {
            name: self._modality(setting, name, output, f"{setting.where}.outputs.{name}.output")
            for name, output in config.outputs.items()
        }
        self.needs = [modality.name for modality in self._seen.values()]

    def _modality(self, setting: Setting, name: str, output: OutputConfig, where: str) -> Task:
        task, modality = setting.tasks.get(name), setting.tasks.get(output.output or "")
        if task is None:
            raise EdgekitError(f"'{name}' is no task of the data", where=where, fix=_one_of(setting.tasks.values()))
        alike = [m for m in setting.tasks.values() if m.kind == task.kind and m.unit == task.unit and m.name != name]
        if modality is None:
            wrong = f"the data has no '{output.output}'" if output.output else "the recipe does not name the modality"
        elif modality.name == name:
            wrong = f"'{name}' cannot be its own teacher: it is the label"
        elif (modality.kind, modality.unit) != (task.kind, task.unit):
            wrong = f"'{modality.name}' is {_described(modality)}, and '{name}' is {_described(task)}"
        else:
            return modality
        raise EdgekitError(wrong, where=where, fix=_one_of(alike))

    def default_form(self, task: Task) -> str:
        return HEADS[task.kind].native_answer or super().default_form(task)

    def classes(self, task: str) -> Sequence[str] | None:
        return self._seen[task].classes or None

    def key(self) -> Any:
        """Empty: stages depend on the data already."""
        return None

    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor] | None:
        missing = [modality.name for modality in self._seen.values() if modality.name not in maps]
        if missing and self._config.missing == "skip":
            return None
        if missing:
            raise EdgekitError(
                f"the frame '{frame.name}' has no '{missing[0]}'",
                where=self._where,
                fix="add it, or leave such frames to the other teachers: missing: skip",
            )
        return {name: as_tensor(maps[modality.name]) for name, modality in self._seen.items()}


def _described(task: Task) -> str:
    return f"{task.kind} in {task.unit}" if task.unit else task.kind


def _one_of(tasks: Iterable[Task]) -> str:
    names = [task.name for task in tasks]
    return f"use one of {', '.join(names)}" if names else "the data has no such modality"
