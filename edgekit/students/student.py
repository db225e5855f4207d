"""A student: its modalities in, one raw map per task out, normalisation inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit import limits
from edgekit.data.statistics import Statistics
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.names import component
from edgekit.frames.typed import as_typed
from edgekit.heads import HEADS
from edgekit.networks import FAMILIES, check_shape, parameter_count
from edgekit.networks.resolutions import over_frame
from edgekit.students.config import StudentConfig
from edgekit.students.registry import PARAMETER_LIMIT, STUDENTS
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import RGB
from edgekit.training.checkpoint import check_state, load_checkpoint, save_checkpoint


def student_shape(name: str, width: int | None, changes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(family, the arguments of its shape that are not its defaults) of a registered student as changed."""
    spec = STUDENTS[name]
    changed = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
    return spec.family, {**spec.shape, **({"width": width} if width else {}), **changed}


class Student(nn.Module):
    """Frames (N, C, H, W) float → per task the raw map (N, C, ⌈H/s⌉, ⌈W/s⌉), s the network's stride.

    The channels of a frame are those of ``modalities`` in their order, in native units (rgb 0-255), NaN where a value
    is missing or invalid; see ``together``. Such values are zero after standardisation, which is the mean.
    ``mean`` and ``std``, one per channel or one for all, are part of the module: a checkpoint cannot be run with other
    statistics than it was trained with. So is ``input_scale``, by which frames are resized before they reach
    ``forward``; see ``predict``. ``may_lack``: names of modalities that it was trained to do without.
    EdgekitError over the parameter limit, unless ``allow_over_limit``, and for modalities that no student sees.
    """

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        modalities: Sequence[Task] = (RGB,),
        may_lack: Sequence[str] = (),
        width: int | None = None,
        mean: Sequence[float] = (127.5,),
        std: Sequence[float] = (64.0,),
        input_scale: float = 1.0,
        allow_over_limit: bool = False,
        shape: Mapping[str, Any] = MappingProxyType({}),
    ):
        super().__init__()
        self.changes = dict(shape)
        family, shape = student_shape(name, width, shape)
        self.name, self.width = name, shape["width"]
        self.input_scale = input_scale
        self.modalities, self.may_lack = list(modalities), tuple(may_lack)
        self.tasks = list(tasks)
        self.sizes = {t.name: kind_of(t).channels(t) for t in tasks}
        self.in_channels = checked_modalities(self.modalities)
        self.network = FAMILIES[family](self.in_channels, sum(self.sizes.values()), **shape)
        for buffer, values in (("mean", mean), ("std", std)):
            given = torch.tensor(values, dtype=torch.float32)[:, None, None]
            self.register_buffer(buffer, given.expand(self.in_channels, 1, 1).clone())
        if not allow_over_limit:
            _check_limit(self, name)

    def channels(self) -> dict[str, Tensor]:
        """Modality → its channels in a frame."""
        sizes = [task.channels for task in self.modalities]
        return dict(zip((t.name for t in self.modalities), torch.arange(sum(sizes)).split(sizes), strict=True))

    def together(self, inputs: Mapping[str, Tensor], hidden: Sequence[str] = ()) -> Tensor:
        """Modalities (N, C, H, W) in native units as the frames (N, ΣC, H, W) that ``forward`` takes.

        Those of ``hidden`` are missing, whatever they hold.
        """
        maps = [inputs[t.name] for t in self.modalities]
        maps = [
            torch.full_like(m, torch.nan) if t.name in hidden else m for t, m in zip(self.modalities, maps, strict=True)
        ]
        return torch.cat(maps, dim=1)

    def hide(self, frames: Tensor, seen: Tensor) -> Tensor:
        """Frames without what ``seen`` (N, M) bool, one for each frame and modality, says is missing."""
        sizes = torch.tensor([task.channels for task in self.modalities])
        seen = torch.repeat_interleave(seen, sizes, dim=1).to(frames.device)
        return torch.where(seen[..., None, None], frames, torch.nan)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        x = self.network(((frames - self.mean) / self.std).nan_to_num(nan=0.0))
        return dict(zip(self.sizes, x.split(list(self.sizes.values()), dim=1), strict=True))

    @torch.no_grad()
    def predict(self, frames: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """Whole frames, as ``forward`` takes them → per task the soft map (N, C, h, w) at ``size`` (h, w)."""
        if self.input_scale != 1.0:
            small = [max(1, round(s * self.input_scale)) for s in frames.shape[-2:]]
            frames = F.interpolate(frames, size=small, mode="bilinear", align_corners=False, antialias=True)
        raw, seen = self(frames), frames.shape[-2:]
        out = {}
        for task in self.tasks:
            head = HEADS[task.kind]
            resized = over_frame(raw[task.name], self.network.stride, seen, size)
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
            "shape": self.changes,
            "modalities": [asdict(t) for t in self.modalities],
            "may_lack": list(self.may_lack),
        }
        save_checkpoint(path, {"format": 2, "spec": spec, "state": self.state_dict()})


def new_student(
    config: StudentConfig, tasks: Sequence[Task], modalities: Sequence[Task], statistics: Statistics
) -> Student:
    """A recipe's student, untrained. ``modalities``: those that the recipe names.

    ``statistics``: modality → (mean, std) of the data, in native units; a pretrained family has its own for rgb
    (``rgb_statistics``). EdgekitError over the parameter limit, and for modalities that no student sees.
    """
    mean, std = ([value for task in modalities for value in statistics[task.name][i]] for i in range(2))
    seen = {"modalities": modalities, "may_lack": config.may_lack}
    student = Student(config.name, tasks, mean=mean, std=std, **seen, **config.arguments())
    rgb = student.channels().get("rgb")
    if hasattr(student.network, "rgb_statistics") and rgb is not None:
        for own, values in zip((student.mean, student.std), student.network.rgb_statistics, strict=True):
            own[rgb] = torch.tensor(values)[:, None, None]
    return student


def example_student(name: str, classes: int) -> Student:
    """A student as it is registered, untrained, with a head of so many classes."""
    task = Task("semantic", "semantic", classes=tuple(f"class {i}" for i in range(classes)))
    return Student(name, [task]).eval()


def load_student(path: Path) -> Student:
    """A trained student in evaluation mode. EdgekitError where the file is missing, damaged or something else."""
    file = load_checkpoint(path)
    spec = file.get("spec") if isinstance(file, dict) else None
    name = spec.get("student") if isinstance(spec, dict) else None
    if not isinstance(name, str) or file.get("format") != 2:
        raise EdgekitError("the file is not a student of this version", where=str(path), fix="give a run's student.pt")
    if name not in STUDENTS:
        fix = "install the package that it comes from"
        raise EdgekitError(f"the file is not a student that is installed: '{name[:60]}'", where=str(path), fix=fix)
    try:
        spec = as_typed(_Spec, spec, "spec")
        _check_spec(spec, str(path))
        more = {"shape": spec.shape, "modalities": spec.modalities, "may_lack": spec.may_lack}
        build = partial(Student, name, spec.tasks, width=spec.width, input_scale=spec.input_scale, **more)
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
    shape: dict[str, int | tuple[int, ...]]
    modalities: tuple[Task, ...]
    may_lack: tuple[str, ...]


def _check_spec(spec: _Spec, where: str) -> None:
    """ValueError or EdgekitError for values that no student has."""
    names = [component(task.name, what="the task", where=where) for task in spec.tasks]  # of files in a bundle
    if not names or len(set(names)) < len(names):
        raise ValueError("it needs one task or more, each of a name of its own")
    seen = [component(task.name, what="the modality", where=where) for task in spec.modalities]
    if not seen or len(set(seen)) < len(seen) or not set(spec.may_lack) <= set(seen) or seen == list(spec.may_lack[:1]):
        raise ValueError("it needs one modality or more, each of a name of its own, and cannot lack the only one")
    if spec.width < 1 or not 0.01 <= spec.input_scale <= 1:
        raise ValueError(f"a width of {spec.width} and frames resized by {spec.input_scale:g} make no student")
    if spec.shape:
        check_shape(STUDENTS[spec.student].family, STUDENTS[spec.student].shape, spec.shape)
    for task in spec.tasks:
        kind_of(task).check(task)
        if not kind_of(task).predictable:
            raise ValueError(f"'{task.name}' is of the kind {task.kind}, which is seen and not predicted")


def checked_modalities(modalities: Sequence[Task]) -> int:
    """Total channel count. EdgekitError for modalities a student cannot use, and for too many channels."""
    for task in modalities:
        if task.kind != RGB.kind:
            raise EdgekitError(
                f"'{task.name}' is of the kind {task.kind}, and a student sees modalities, as a sensor gives them",
                where="student.modalities",
                fix=f"describe it in the data as kind: {RGB.kind} with its channels and range",
            )
        kind_of(task).check(task)
        if task.name == RGB.name and (task.channels, tuple(task.range)) != (RGB.channels, RGB.range):
            raise EdgekitError(
                f"'rgb' has {task.channels} channels from {task.range[0]:g} to {task.range[1]:g}, and not 3 of 8 bits",
                where="student.modalities",
                fix="give it another name in the data",
            )
        if task.vector:
            raise EdgekitError(
                f"'{task.name}' holds displacements, which change where a frame is resized",
                where="student.modalities",
                fix="show it to the teachers alone: teacher.modalities",
            )
    channels = sum(task.channels for task in modalities)
    if channels > limits.MODALITY_CHANNELS:
        raise EdgekitError(
            f"{', '.join(t.name for t in modalities)} have {channels} channels together, and a student sees at most "
            f"{limits.MODALITY_CHANNELS}",
            where="student.modalities",
            fix="leave some of them to the teachers: teacher.modalities",
        )
    return channels


def _check_limit(student: Student, name: str) -> None:
    count = parameter_count(student)
    if count > PARAMETER_LIMIT:
        raise EdgekitError(
            f"student '{name}' of width {student.width} has {count:,} parameters, "
            f"{count - PARAMETER_LIMIT:,} over the limit of {PARAMETER_LIMIT:,}",
            where="student.width",
            fix="make it narrower, or set student.allow_over_limit: true",
        )
