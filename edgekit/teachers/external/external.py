"""A teacher from elsewhere, opened: its word on a frame as soft maps of our tasks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.config import ExternalCommon
from edgekit.teachers.external.form import Setting
from edgekit.teachers.external.outputs import Output
from edgekit.teachers.external.registry import EXTERNAL_FORMS
from edgekit.training.precision import device


class External:
    """``tasks``: what it speaks of, by name. ``where``: its place in the recipe, for messages.

    EdgekitError for a file, input, output or class that does not fit.
    """

    def __init__(self, config: ExternalCommon, base: Path, known: Mapping[str, Task], where: str):
        self.config = config
        self.name = config.name
        self.where = where
        self.form = EXTERNAL_FORMS[config.kind](config, Setting(Path(base), known, where))
        self._outputs: dict[str, Output] = {}
        self.tasks: dict[str, Task] = {}
        for name, output in config.outputs.items():
            place = f"{where}.outputs.{name}"
            task = output.task.task(name) if output.task else known.get(name)
            if task is None or (config.role == "member" and not kind_of(task).predictable):
                raise EdgekitError(
                    f"'{name}' is no task of the data", where=place, fix=f"use one of {', '.join(known)}"
                )
            self.tasks[name] = task
            if task.classes and output.classes is None:
                output = output.model_copy(update={"classes": self._classes(name, task, place)})
            self._outputs[name] = Output(task, output, place, usual=self.form.usual(task))
        self._lock = threading.Lock()  # loaders ask from several threads, and one answer fills the memory

    def key(self) -> list[Any]:
        """Changes when its answers may: what the recipe says of it, and what its files hold."""
        told = self.config.model_dump(mode="json", exclude={"name", "file", "folders", "files", "missing"})
        return [told, self.form.key()]

    def answer(self, frames: FrameSet, frame: FrameInfo, size: tuple[int, int] | None) -> dict[str, Tensor]:
        """Task -> soft map (1, C, *size) on the device; empty where it has no word on the frame.

        ``size`` None: the frame's. EdgekitError, naming the frame, for an answer that does not fit.
        """
        maps = frames.read(frame, ["rgb", *self.form.needs])
        own = maps["rgb"].shape[:2]
        try:
            with nullcontext() if self.form.stored else self._lock:
                raw = self.form.raw(frame, maps, own)
                if raw is None:
                    return {}
                return {name: self._soft(name, value, size or own) for name, value in raw.items()}
        except EdgekitError as error:
            where = f"{error.where or self.name} (frame {frame.split}/{frame.name})"
            raise EdgekitError(error.what, where=where, fix=error.fix) from error

    def native(self, name: str, soft: Tensor):
        """A soft map of ``answer`` as the native map of its task."""
        return self._outputs[name].native(soft)

    def _classes(self, name: str, task: Task, place: str) -> list[str]:
        """The teacher's classes where the recipe does not list them. Ours are no guess: as many may stand otherwise."""
        known = self.form.classes(name) or (task.classes if self.config.outputs[name].task else None)
        if known is None:
            raise EdgekitError(
                f"in which order the teacher has its classes of '{name}' is not said",
                where=f"{place}.classes",
                fix=f"list them as its channels are, e.g. classes: [{', '.join(task.classes)}]",
            )
        return list(known)

    def _soft(self, name: str, raw: Tensor, size: tuple[int, int]) -> Tensor:
        return self._outputs[name].soft(raw.to(device()), size)
