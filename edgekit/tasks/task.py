"""What a task is: a named per-pixel map of one kind."""

from __future__ import annotations

from dataclasses import dataclass

IGNORE = 255
"""In a map of class indices or of yes and no: a pixel without a label."""


@dataclass(frozen=True)
class Task:
    """One per-pixel map: an input of a network, an output, or both.

    name      unique in a recipe, e.g. ``semantic`` or ``expert_depth``
    kind      a key of ``edgekit.tasks.KINDS``: semantic, depth, normals, binary, modality
    classes   class names in index order (semantic only)
    colours   one RGB triple 0-255 per class (semantic only)
    weights   one weight per class for the class-weighted mIoU (semantic only; empty: not reported)
    channels  number of channels (modality only; the other kinds know theirs)
    range     (least, most) value in ``unit`` (depth and modality)
    unit      ``m`` for metric depth (log-encoded), empty for 0-1 depth (linear)
    vector    the first two channels are an (x, y) displacement in the picture, such as optical flow, which turns and
              grows with it (modality only)
    """

    name: str
    kind: str
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    weights: tuple[float, ...] = ()
    channels: int = 0
    range: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    vector: bool = False
