"""What each kind of teacher from elsewhere answers to: one file per kind, a line each in registry.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home, sha256
from edgekit.heads import HEADS
from edgekit.tasks import Task


@dataclass(frozen=True)
class Setting:
    """Where a teacher lives: the recipe's folder, the data's tasks, and its place in the recipe."""

    base: Path
    tasks: Mapping[str, Task]
    where: str

    def file(self, path: Path) -> Path:
        """A file named in the recipe. EdgekitError where there is none."""
        found = Path(self.base, expand_home(path))
        if not found.is_file():
            raise EdgekitError(
                f"the file '{path}' does not exist",
                where=f"{self.where}: {found}",
                fix="the path is relative to the recipe's own folder",
            )
        return found


class Form(ABC):
    """One teacher, opened: ``Form(config, setting)``.

    ``Config``  what a recipe may say of it: an ExternalCommon with ``kind: Literal[…]``
    ``needs``   modalities it must be shown
    ``stored``  whether its answers lie on disk already
    """

    Config: ClassVar[type[BaseModel]]
    needs: Sequence[str] = ()
    stored = False

    def classes(self, task: str) -> Sequence[str] | None:
        """The classes of its output for a task, where it knows them itself."""
        return None

    def usual(self, task: Task) -> str:
        """The form of its answer for a task where the recipe says none."""
        return HEADS[task.kind].answers(task)[0]

    def lacks(self, frame: FrameInfo) -> bool:
        """Whether it is known, without being asked, to have no word on a frame."""
        return False

    @abstractmethod
    def key(self) -> Any:
        """JSON-able: changes when its answers may."""

    @abstractmethod
    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor] | None:
        """Per output's task the raw map (1, C, h, w), at any resolution; None where it has no word on this frame.

        ``maps``: the needed native maps that the frame has; ``size`` (height, width) is the frame's.
        """


def file_key(path: Path) -> str:
    return sha256(path)


def as_map(array: Any, layout: str, what: str, where: str) -> Tensor:
    """A network's output (1, C, h, w), (1, h, w, C) or (1, h, w) as (1, C, h, w). EdgekitError for other shapes."""
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    elif tensor.ndim == 4 and layout == "channels_last":
        tensor = tensor.permute(0, 3, 1, 2)
    if tensor.ndim != 4 or tensor.shape[0] != 1:
        raise EdgekitError(
            f"the output '{what}' has the shape {tuple(array.shape)}, expected a map: (1, C, H, W) or (1, H, W)",
            where=where,
        )
    return tensor


def pick(outputs: Mapping[str, Any], wanted: str | None, task: str, where: str) -> str:
    """The name of the output that speaks of a task: as told, of the task's name, or the only one."""
    if wanted is None:
        if task in outputs:
            return task
        if len(outputs) == 1:
            return next(iter(outputs))
        raise EdgekitError(
            f"the teacher has several outputs and none is called '{task}'",
            where=f"{where}.output",
            fix=f"name one of {', '.join(outputs)}",
        )
    if wanted not in outputs:
        raise EdgekitError(
            f"the teacher has no output '{wanted}'", where=f"{where}.output", fix=f"it has {', '.join(outputs)}"
        )
    return wanted
