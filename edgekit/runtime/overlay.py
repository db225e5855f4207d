"""Results painted over their frame."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgekit.runtime.legend import badge, legend
from edgekit.tasks import Task, kind_of

_DECIDED, _MEASURED = 0.5, 0.7  # strength of the colours over the frame: of classes, and of distances or directions
_LEAST_SIDE = 180  # pixels; a smaller picture has no room for a legend


def overlay(frame: np.ndarray, task: Task, result: np.ndarray, note: str = "") -> np.ndarray:
    """``frame`` (H, W, 3) uint8 rgb under the colours of a native map of the same size, with a legend: the same shape.

    Borders between classes are drawn in full colour. ``note`` is written in the top left corner.
    """
    colours, decided = kind_of(task).picture(task, result), kind_of(task).forms[0].decided
    image = Image.fromarray(np.ascontiguousarray(frame))
    if not decided:  # over grey: the frame's own colours would be read as distances
        image = image.convert("L").convert("RGB")
    strength = _DECIDED if decided else _MEASURED
    picture = np.array(Image.blend(image, Image.fromarray(np.ascontiguousarray(colours)), strength))
    if decided:
        _draw_borders(picture, result, colours)
    if min(picture.shape[:2]) >= _LEAST_SIDE:
        _paste(picture, legend(task, result, _letters(picture)), bottom=True)
        if note:
            _paste(picture, badge(note, _letters(picture)), bottom=False)
    return picture


def _draw_borders(picture: np.ndarray, classes: np.ndarray, colours: np.ndarray) -> None:
    """The last pixels of a class before another, in the class's own full colour."""
    width = max(1, round(min(classes.shape) / 500))
    border = np.zeros(classes.shape, bool)
    for shift in range(1, width + 1):
        across, down = classes[:, shift:] != classes[:, :-shift], classes[shift:] != classes[:-shift]
        border[:, shift:] |= across
        border[:, :-shift] |= across
        border[shift:] |= down
        border[:-shift] |= down
    picture[border] = colours[border]


def _letters(picture: np.ndarray) -> int:
    """Font size for a picture."""
    return int(np.clip(min(picture.shape[:2]) / 32, 10, 64))


def _paste(picture: np.ndarray, panel: np.ndarray, *, bottom: bool) -> None:
    """A panel (h, w, 4) uint8 rgba into the left corner, with a margin; cut off where the picture is smaller."""
    margin = max(4, min(picture.shape[:2]) // 60)
    height, width = (min(p, s - 2 * margin) for p, s in zip(panel.shape[:2], picture.shape[:2], strict=True))
    top = picture.shape[0] - margin - height if bottom else margin
    part = picture[top : top + height, margin : margin + width]
    panel = panel[:height, :width].astype(np.uint16)
    cover = panel[..., 3:]
    part[:] = ((part * (255 - cover) + panel[..., :3] * cover) // 255).astype(np.uint8)
