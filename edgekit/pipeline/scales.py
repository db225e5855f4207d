"""At which size networks see frames, where the recipe leaves it open: so that a training crop shows most of a frame.

What a network must know of a scene to name its parts is in the picture, and not in the camera's number of pixels:
frames stored at twice the size are seen at the same. What the factors make on frames held out of train:
benchmarks/RESULTS.md, "What a recipe leaves open".
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from edgekit.data.frameset import FrameSet
from edgekit.export.contract import Size
from edgekit.recipe.schema import Recipe
from edgekit.training.config import TrainConfig

_COVER = 1.25  # sides of a frame, in crops of its area
_STUDENT_ZOOM = (0.7, 1.6)  # relative to the size at which it sees frames on the device
_TEACHER_ZOOM = (1.0, 2.4)  # the same; teachers do not run on the device, so they may see larger frames
_TEACHER_MOST = 0.8  # of a frame's size, at the least zoom: so that small frames are not only enlarged
_EXACT = 0.25  # share of crops that are pixels of the frame, where frames are not resized after training
_FRAMES = 5  # whose sizes are looked at


def frame_size(frames: FrameSet) -> Size:
    """(height, width) of a train frame; of a few, where their sizes differ, the middle one by its pixels."""
    infos = frames.frames("train")
    some = [infos[i * (len(infos) - 1) // (_FRAMES - 1)] for i in range(_FRAMES)]
    sizes = [frames.read(frame, ["rgb"])["rgb"].shape[:2] for frame in some]
    return sorted(sizes, key=lambda size: size[0] * size[1])[_FRAMES // 2]


def with_scales(recipe: Recipe, size: Size) -> Recipe:
    """The recipe with numbers for ``student.input_scale``, ``ensemble.scales``, ``augment.scale`` and its ``exact``.

    ``size``: of a frame. What the recipe says stays.
    """
    area = size[0] * size[1]
    distill, student, teacher, ensemble = recipe.distill, recipe.student, recipe.teacher, recipe.ensemble
    asked, scale = distill.train.augment.scale, student.input_scale
    if scale is None:
        scale = _within(asked) if asked else _rounded(min(1.0, _covering(distill.train, area)))
    student = student.model_copy(update={"input_scale": scale})
    distill = distill.model_copy(update={"train": _seen_at(_zoomed(distill.train, scale, _STUDENT_ZOOM), [scale])})

    of_teacher = lambda train: _zoomed(train, min(_TEACHER_MOST, _covering(train, area)), _TEACHER_ZOOM)  # noqa: E731
    members = [m.model_copy(update={"train": of_teacher(m.train)}) if m.train else m for m in teacher.members]
    teacher = teacher.model_copy(update={"train": of_teacher(teacher.train), "members": members})
    if ensemble.scales is None:
        ensemble = ensemble.model_copy(update={"scales": _scales(teacher.train.augment.scale)})
    members = [m.model_copy(update={"train": _seen_at(m.train, ensemble.scales)}) if m.train else m for m in members]
    teacher = teacher.model_copy(update={"train": _seen_at(teacher.train, ensemble.scales), "members": members})
    return recipe.model_copy(update={"distill": distill, "student": student, "teacher": teacher, "ensemble": ensemble})


def describe_scales(recipe: Recipe) -> str:
    """The sizes of a recipe ``with_scales`` in one sentence."""
    least, most = recipe.teacher.train.augment.scale
    ensemble = ", ".join(f"{scale:g}" for scale in recipe.ensemble.scales)
    return (
        f"Frames are seen at {recipe.student.input_scale:g} of their size by the student, at {least:g} to {most:g} in "
        f"the training of teachers, and at {ensemble} in the ensemble"
    )


def _covering(train: TrainConfig, area: float) -> float:
    """The zoom at which a frame's sides are ``_COVER`` times those of a crop of its shape."""
    return _COVER * sqrt(train.crop[0] * train.crop[1] / area)


def _zoomed(train: TrainConfig, scale: float, zoom: tuple[float, float]) -> TrainConfig:
    if train.augment.scale is not None:
        return train
    found = (_rounded(scale * zoom[0]), _rounded(scale * zoom[1]))
    return train.model_copy(update={"augment": train.augment.model_copy(update={"scale": found})})


def _seen_at(train: TrainConfig, scales: Sequence[float]) -> TrainConfig:
    """``scales``: those at which frames are seen after training."""
    if train.augment.exact is not None:
        return train
    exact = _EXACT if 1.0 in scales else 0.0
    return train.model_copy(update={"augment": train.augment.model_copy(update={"exact": exact})})


def _scales(zoom: Sequence[float]) -> list[float]:
    """The sizes of an ensemble whose networks were trained on zooms between these two: the middle one first."""
    least, most = zoom[0], zoom[1] / 1.2
    if most <= 1.5 * least:
        return [_within(zoom)]
    return [_rounded(scale) for scale in (sqrt(least * most), least, most)]


def _within(zoom: Sequence[float]) -> float:
    """A frame's own size, where networks are trained on it; else the middle of the sizes that they are trained on."""
    return 1.0 if zoom[0] <= 1 <= zoom[1] else _rounded(sqrt(zoom[0] * zoom[1]))


def _rounded(scale: float) -> float:
    return float(f"{scale:.3g}")
