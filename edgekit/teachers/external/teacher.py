"""An external teacher, opened: its predictions for a frame as soft maps of our tasks."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.config import ExternalCommon
from edgekit.teachers.external.model import Setting
from edgekit.teachers.external.outputs import ExternalOutput
from edgekit.teachers.external.registry import EXTERNAL_MODELS
from edgekit.training.precision import device


class ExternalTeacher:
    """``tasks``: what it predicts, by name. ``where``: its place in the recipe, for messages.

    EdgekitError for a file, input, output or class that does not fit.
    """

    def __init__(self, config: ExternalCommon, base: Path, known: Mapping[str, Task], where: str):
        self.config = config
        self.name = config.name
        self.where = where
        self.model = EXTERNAL_MODELS[config.kind](config, Setting(Path(base), known, where))
        self._outputs: dict[str, ExternalOutput] = {}
        self.tasks: dict[str, Task] = {}
        for name, output in config.outputs.items():
            place = f"{where}.outputs.{name}"
            own = self.model.task if config.role == "modality" else known.get
            task = output.task.task(name) if output.task else own(name)
            if task is None or (config.role == "member" and not kind_of(task).predictable):
                raise EdgekitError(
                    f"'{name}' is no task of the data", where=place, fix=f"use one of {', '.join(known)}"
                )
            self.tasks[name] = task
            if task.classes and output.classes is None:
                output = output.model_copy(update={"classes": self._classes(name, task, place)})
            self._outputs[name] = ExternalOutput(task, output, place, self.model.default_form(task))
        self._lock = threading.Lock()  # loaders call from several threads, and one forward pass fills the memory

    def key(self) -> list[Any]:
        """Changes when its predictions may: its section of the recipe, and the content of its files."""
        return [self.section(), self.model.key()]

    def section(self) -> dict[str, Any]:
        """What of its section of the recipe its predictions depend on."""
        elsewhere = {"name", "file", "folders", "files", "model", "bundle", "missing"}
        return self.config.model_dump(mode="json", exclude=elsewhere)

    def answer(self, frames: FrameSet, frame: FrameInfo, size: tuple[int, int] | None) -> dict[str, Tensor]:
        """Task -> soft map (1, C, *size) on the device; empty where it has no prediction for the frame.

        ``size`` None: the frame's. EdgekitError, naming the frame, for an output that does not fit.
        """
        return self.answers([frame], [frames.read(frame, ["rgb", *self.model.needs])], size)[0]

    def answers(
        self, frames: Sequence[FrameInfo], maps: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int] | None
    ) -> list[dict[str, Tensor]]:
        """`answer` for several frames of one size, with their maps: rgb and those that the model needs."""
        own = maps[0]["rgb"].shape[:2]
        try:
            with nullcontext() if self.model.stored else self._lock:
                return [
                    {n: self._outputs[n].soft(value.to(device()), size or own) for n, value in (raw or {}).items()}
                    for raw in self.model.raw_batch(frames, maps, own)
                ]
        except EdgekitError as error:
            where = f"{error.where or self.name} (frame {frames[0].split}/{frames[0].name})"
            raise EdgekitError(error.what, where=where, fix=error.fix) from error

    def native(self, name: str, soft: Tensor):
        """A soft map of ``answer`` as the native map of its task."""
        return self._outputs[name].native(soft)

    def _classes(self, name: str, task: Task, place: str) -> list[str]:
        """The teacher's classes where the recipe does not list them. They are never guessed from the task's."""
        known = self.model.classes(name) or (task.classes if self.config.outputs[name].task else None)
        if known is None:
            raise EdgekitError(
                f"the recipe does not list the teacher's classes of '{name}'",
                where=f"{place}.classes",
                fix=f"list them in the order of its channels, e.g. classes: [{', '.join(task.classes)}]",
            )
        return list(known)
