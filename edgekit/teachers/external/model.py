"""What each kind of external teacher implements: one file per kind, a line each in registry.py."""

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
from edgekit.frames.files import expand_home
from edgekit.heads import HEADS
from edgekit.tasks import Task


@dataclass(frozen=True)
class Setting:
    """Where a teacher belongs: the recipe's folder, the data's tasks, and its place in the recipe."""

    base: Path
    tasks: Mapping[str, Task]
    where: str

    def file(self, path: Path) -> Path:
        """A file named in the recipe. EdgekitError if it does not exist."""
        found = Path(self.base, expand_home(path))
        if not found.is_file():
            raise EdgekitError(
                f"the file '{path}' does not exist",
                where=f"{self.where}: {found}",
                fix="the path is relative to the recipe's own folder",
            )
        return found


class ExternalModel(ABC):
    """One model, opened: ``ExternalModel(config, setting)``. It has ``raw``, or ``raw_batch`` where it takes several.

    ``Config``  its keys in a recipe: an ExternalCommon with ``kind: Literal[…]``
    ``needs``   modalities that it must be shown
    ``stored``  whether its predictions lie on disk already
    """

    Config: ClassVar[type[BaseModel]]
    needs: Sequence[str] = ()
    stored = False

    def __init_subclass__(cls, **options: object) -> None:
        """TypeError for a kind that cannot predict."""
        super().__init_subclass__(**options)
        if cls.raw is ExternalModel.raw and cls.raw_batch is ExternalModel.raw_batch:
            raise TypeError(f"{cls.__name__} needs raw or raw_batch")

    @classmethod
    def sees(cls, config: Any, base: Path, where: str) -> Mapping[str, bool]:
        """The modalities that it is shown, known before it is opened; and of each whether it cannot do without."""
        inputs = getattr(config, "inputs", [])
        named = inputs.values() if isinstance(inputs, Mapping) else [n for given in inputs for n in given.modalities]
        return dict.fromkeys(named, True)

    def classes(self, task: str) -> Sequence[str] | None:
        """The classes of its output for a task, where it knows them itself."""
        return None

    def task(self, name: str) -> Task | None:
        """What its output of this name is, for the kinds that know it themselves."""
        return None

    def default_form(self, task: Task) -> str:
        """The form of its output for a task where the recipe names none."""
        return HEADS[task.kind].answers(task)[0]

    def lacks(self, frame: FrameInfo) -> bool:
        """Whether it is known, without running it, to have no prediction for a frame."""
        return False

    @abstractmethod
    def key(self) -> Any:
        """JSON-able: changes when its predictions may."""

    def key_of_film(self, film: str) -> Any:
        """The same of the frames ``<film>_…``, for the kinds whose predictions lie on disk, frame by frame."""
        return self.key()

    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor] | None:
        """Task → raw map (1, C, h, w), at any resolution; None where it has no prediction for this frame.

        ``maps``: the needed native maps that the frame has; ``size`` (height, width) is the frame's.
        """
        return self.raw_batch([frame], [maps], size)[0]

    def raw_batch(
        self, frames: Sequence[FrameInfo], maps: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]
    ) -> list[dict[str, Tensor] | None]:
        """``raw`` of several frames of one size: one after the other, where a kind does not take them together."""
        return [self.raw(frame, m, size) for frame, m in zip(frames, maps, strict=True)]


def task_outputs(values: Mapping[str, Any], config: Any, where: str) -> dict[str, Tensor]:
    """A network's outputs by name, (1, C, h, w), (1, h, w, C) or (1, h, w) → task → (1, C, h, w).

    ``config``: the teacher's section, ``where`` its place in the recipe. EdgekitError for other shapes, and for an
    output that is not there.
    """
    found = {}
    for task, output in config.outputs.items():
        place = f"{where}.outputs.{task}"
        name = output_name(values, output.output, task, place)
        array = values[name]
        tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))
        if tensor.ndim == 3:
            tensor = tensor[:, None]
        elif tensor.ndim == 4 and output.layout == "channels_last":
            tensor = tensor.permute(0, 3, 1, 2)
        if tensor.ndim != 4 or tensor.shape[0] != 1:
            raise EdgekitError(
                f"the output '{name}' has the shape {tuple(array.shape)}, expected a map: (1, C, H, W) or (1, H, W)",
                where=place,
                fix="name another output, or see layout",
            )
        found[task] = tensor
    return found


def output_name(outputs: Mapping[str, Any], wanted: str | None, task: str, where: str) -> str:
    """The output that predicts a task: the one that the recipe names, the one of the task's name, or the only one."""
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


def batch_outputs(values: Mapping[str, Any], count: int, config: Any, where: str) -> list[dict[str, Tensor]]:
    """`task_outputs` of each of ``count`` frames that were given at once. EdgekitError for other numbers of maps."""
    if count == 1:
        return [task_outputs(values, config, where)]
    for name, value in values.items():
        if len(value) != count:
            raise EdgekitError(
                f"the output '{name}' has {len(value)} maps for {count} frames", where=name, fix="give batch: 1"
            )
    each = ({name: value[i : i + 1] for name, value in values.items()} for i in range(count))
    return [task_outputs(own, config, where) for own in each]


def as_tensor(array: np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) → (1, C, H, W): floats as float32, class indices as int64."""
    kind = np.float32 if array.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1), kind))[None]
