"""A student: rgb in, one raw map per task out, normalisation inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.errors import EdgekitError, first_line
from edgekit.frames.names import component
from edgekit.frames.typed import as_typed
from edgekit.heads import HEADS
from edgekit.networks import FAMILIES, parameter_count
from edgekit.students.config import StudentConfig
from edgekit.students.registry import PARAMETER_LIMIT, STUDENTS
from edgekit.tasks import Task, kind_of
from edgekit.training.checkpoint import check_state, load_checkpoint, save_checkpoint

RGB = torch.arange(3)
"""The channels of a student's input that are rgb."""


def student_shape(name: str, width: int | None) -> tuple[str, dict[str, Any]]:
    """(family, the arguments of its shape that are not its defaults) of a registered student."""
    spec = STUDENTS[name]
    return spec.family, {**spec.shape, **({"width": width} if width else {})}


class Student(nn.Module):
    """rgb (N, 3, H, W) float 0-255 → per task the raw map (N, C, ⌈H/s⌉, ⌈W/s⌉), s the network's stride.

    ``mean`` and ``std`` of rgb, 0-255, are part of the module: a checkpoint cannot be run with other statistics than
    it was trained with. So is ``input_scale``, by which frames are resized before they reach ``forward``; see
    ``predict``. EdgekitError over the parameter limit, unless ``allow_over_limit``.
    """

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        width: int | None = None,
        mean: Sequence[float] = (127.5, 127.5, 127.5),
        std: Sequence[float] = (64.0, 64.0, 64.0),
        input_scale: float = 1.0,
        allow_over_limit: bool = False,
    ):
        super().__init__()
        family, shape = student_shape(name, width)
        self.name, self.width = name, shape["width"]
        self.input_scale = input_scale
        self.tasks = list(tasks)
        self.sizes = {t.name: kind_of(t).channels(t) for t in tasks}
        self.network = FAMILIES[family](3, sum(self.sizes.values()), **shape)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None])
        if not allow_over_limit:
            _check_limit(self, name)

    def forward(self, rgb: Tensor) -> dict[str, Tensor]:
        x = self.network((rgb - self.mean) / self.std)
        return dict(zip(self.sizes, x.split(list(self.sizes.values()), dim=1), strict=True))

    @torch.no_grad()
    def predict(self, rgb: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """Whole frames (N, 3, H, W) float 0-255 → per task the soft map (N, C, h, w) at ``size`` (h, w)."""
        if self.input_scale != 1.0:
            small = [max(1, round(s * self.input_scale)) for s in rgb.shape[-2:]]
            rgb = F.interpolate(rgb, size=small, mode="bilinear", align_corners=False, antialias=True)
        raw = self(rgb)
        out = {}
        for task in self.tasks:
            head = HEADS[task.kind]
            resized = F.interpolate(raw[task.name], size=size, mode="bilinear", align_corners=False)
            # a smaller frame looks farther away, in training as here
            out[task.name] = head.reorient(task, head.activation(resized), (1.0, 1.0), 1.0 / self.input_scale)
        return out

    def save(self, path: Path) -> None:
        """Write a checkpoint that ``load_student`` reads."""
        spec = {
            "student": self.name,
            "width": self.width,
            "input_scale": self.input_scale,
            "tasks": [asdict(t) for t in self.tasks],
        }
        save_checkpoint(path, {"format": 1, "spec": spec, "state": self.state_dict()})


def new_student(
    config: StudentConfig, tasks: Sequence[Task], statistics: tuple[Sequence[float], Sequence[float]]
) -> Student:
    """A recipe's student, untrained. ``statistics``: (mean, std) of the data's rgb, 0-255; a pretrained family has its
    own (``rgb_statistics``). EdgekitError over the parameter limit.
    """
    mean, std = statistics
    student = Student(config.name, tasks, mean=mean, std=std, **config.shape())
    if hasattr(student.network, "rgb_statistics"):
        for own, values in zip((student.mean, student.std), student.network.rgb_statistics, strict=True):
            own.copy_(torch.tensor(values)[:, None, None])
    return student


def load_student(path: Path) -> Student:
    """A trained student in evaluation mode. EdgekitError where the file is missing, damaged or something else."""
    file = load_checkpoint(path)
    spec = file.get("spec") if isinstance(file, dict) else None
    name = spec.get("student") if isinstance(spec, dict) else None
    if not isinstance(name, str) or file.get("format") != 1:
        raise EdgekitError("the file is not a student of this version", where=str(path), fix="give a run's student.pt")
    if name not in STUDENTS:
        fix = "install the package that it comes from"
        raise EdgekitError(f"the file is not a student that is installed: '{name[:60]}'", where=str(path), fix=fix)
    try:
        spec = as_typed(_Spec, spec, "spec")
        _check_spec(spec, str(path))
        build = partial(Student, name, spec.tasks, width=spec.width, input_scale=spec.input_scale)
        with torch.device("meta"):  # shapes alone: a file may name any width
            expected = build(allow_over_limit=True).state_dict()
        check_state(file.get("state"), expected)
        student = build(allow_over_limit=True)
        student.load_state_dict(file["state"])
        if not (student.std > 0).all():
            raise ValueError("frames are divided by a deviation that is not above 0")
    except EdgekitError as error:
        raise EdgekitError(error.what, where=error.where or str(path), fix=error.fix) from error
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, ArithmeticError) as error:
        raise EdgekitError(
            f"the file is not a whole student: {first_line(error)}",
            where=str(path),
            fix="give a run's student.pt, or run again",
        ) from error
    return student.eval()


@dataclass(frozen=True)
class _Spec:
    """What ``Student.save`` writes beside the tensors."""

    student: str
    width: int
    input_scale: float
    tasks: tuple[Task, ...]


def _check_spec(spec: _Spec, where: str) -> None:
    """ValueError or EdgekitError for values that no student has."""
    names = [component(task.name, what="the task", where=where) for task in spec.tasks]  # of files in a bundle
    if not names or len(set(names)) < len(names):
        raise ValueError("it needs one task or more, each of a name of its own")
    if spec.width < 1 or not 0.01 <= spec.input_scale <= 1:
        raise ValueError(f"a width of {spec.width} and frames resized by {spec.input_scale:g} make no student")
    for task in spec.tasks:
        kind_of(task).check(task)
        if not kind_of(task).predictable:
            raise ValueError(f"'{task.name}' is of the kind {task.kind}, which is seen and not predicted")


def _check_limit(student: Student, name: str) -> None:
    count = parameter_count(student)
    if count > PARAMETER_LIMIT:
        raise EdgekitError(
            f"student '{name}' of width {student.width} has {count:,} parameters, "
            f"{count - PARAMETER_LIMIT:,} over the limit of {PARAMETER_LIMIT:,}",
            where="student.width",
            fix="make it narrower, or set student.allow_over_limit: true",
        )
