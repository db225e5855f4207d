"""Random geometry and colour for one frame; every map of the frame moves together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edgekit.data.config import AugmentConfig
from edgekit.tasks import Task, kind_of
from edgekit.tasks.task import IGNORE

_SHRINKS = 0.75  # zooms below this are averaged down before they are resampled
_MOST_CHANNELS = 4  # of one call of OpenCV's warp with a border value


@dataclass(frozen=True)
class CropView:
    """Which part of a frame a crop shows: the map from crop pixels to frame pixels, and its parts.

    ``matrix`` (2, 2) and ``offset`` (2,) act on continuous (x, y) coordinates with pixel centres at .5.
    ``turn`` (2, 2) orthogonal: a direction in the frame as a direction in the crop. ``zoom`` > 1: objects look larger.
    """

    matrix: np.ndarray
    offset: np.ndarray
    turn: np.ndarray
    zoom: float
    frame_size: tuple[int, int]
    crop_size: tuple[int, int]

    @property
    def is_identity(self) -> bool:
        return self.frame_size == self.crop_size and np.array_equal(self.matrix, np.eye(2)) and not np.any(self.offset)


def random_view(
    rng: np.random.Generator, config: AugmentConfig, frame_size: tuple[int, int], crop_size: tuple[int, int]
) -> CropView:
    """Draw a view of ``crop_size`` (height, width) of a frame of ``frame_size``. The same draws whatever the config.

    ``config.exact`` of the views are pixels of the frame, not rotated. All others are resampled between pixels, which
    blurs them, and a network that has seen nothing else misreads sharp frames: depth most of all.
    """
    height, width = frame_size
    crop_height, crop_width = crop_size
    least, most = config.scale
    zoom = math.exp(rng.uniform(math.log(least), math.log(most)))
    mirror_x = -1.0 if rng.random() < 0.5 and config.flip else 1.0
    mirror_y = -1.0 if rng.random() < 0.5 and config.vertical_flip else 1.0
    turned = rng.random() < 0.5
    angle = math.radians(rng.uniform(-config.rotate, config.rotate)) if turned else 0.0
    place = rng.random(2)
    exact = rng.random() < (config.exact or 0.0)
    if exact:
        zoom, angle = 1.0, 0.0
    cos, sin = math.cos(angle), math.sin(angle)
    to_frame = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror_x, mirror_y])
    half_x, half_y = crop_width / zoom / 2, crop_height / zoom / 2
    first = np.array([min(half_x, width / 2), min(half_y, height / 2)])
    last = np.array([max(width - half_x, width / 2), max(height - half_y, height / 2)])
    centre = first + (last - first) * place
    matrix = to_frame / zoom
    offset = centre - matrix @ np.array([crop_width / 2, crop_height / 2])
    if exact:
        offset = np.round(offset)
    return CropView(matrix, offset, to_frame.T, zoom, frame_size, crop_size)


def apply_view(view: CropView, task: Task, array: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """A native map as the view shows it, at ``size`` (default: the crop's).

    Pixels outside the frame are ignore or NaN; inputs repeat the frame's edge there.

    `Kind.reorient` changes the values: depth in metres is divided by the zoom and normals stay those of the surface,
    since a zoomed frame is what the same camera would see of a scene pressed together along its axis (Eigen & Fergus,
    arXiv 1411.4734).
    """
    size = size or view.crop_size
    if view.is_identity and size == view.crop_size:
        return array
    kind = kind_of(task)
    if kind.interpolation == "area":
        if view.zoom < _SHRINKS:  # bilinear samples alone would alias; deployed students see antialiased frames
            array = _shrunk(array, view.zoom)
        return kind.reorient(task, resample(view, array, size, border=None), view.turn, view.zoom)
    if array.dtype.kind == "f":
        out = _resample_valid(view, array, size)
    else:
        nearest = kind.interpolation == "nearest"
        out = resample(view, array, size, border=float(IGNORE), nearest=nearest)
    return kind.reorient(task, out, view.turn, view.zoom)


def resample(
    view: CropView, array: np.ndarray, size: tuple[int, int], *, border: float | None, nearest: bool = False
) -> np.ndarray:
    """Resample a map of the whole frame (at any resolution) to the view at ``size`` (any resolution).

    ``border``: the value outside the frame, None repeats the edge.
    """
    to_crop = np.array([view.crop_size[1] / size[1], view.crop_size[0] / size[0]])
    to_map = np.array([array.shape[1] / view.frame_size[1], array.shape[0] / view.frame_size[0]])
    # pixel centres: x_map = to_map·(matrix·to_crop·(x + ½) + offset) − ½
    linear = to_map[:, None] * view.matrix * to_crop[None, :]
    shift = to_map * (view.matrix @ (to_crop * 0.5) + view.offset) - 0.5
    affine = np.column_stack([linear, shift])
    flags = (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    value = (0.0 if border is None else border,) * _MOST_CHANNELS
    return _few_channels_at_once(
        array, lambda part: cv2.warpAffine(part, affine, size[::-1], flags=flags, borderMode=mode, borderValue=value)
    )


def _few_channels_at_once(array: np.ndarray, resize: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """``resize`` of a map of any number of channels; OpenCV takes four."""
    if array.ndim == 2 or array.shape[2] <= _MOST_CHANNELS:
        out = resize(np.ascontiguousarray(array))
        return out.reshape(*out.shape[:2], *array.shape[2:])  # OpenCV drops a single channel
    starts = range(0, array.shape[2], _MOST_CHANNELS)
    parts = [_few_channels_at_once(array[..., start : start + _MOST_CHANNELS], resize) for start in starts]
    return np.concatenate(parts, axis=-1)


def _shrunk(array: np.ndarray, factor: float) -> np.ndarray:
    """A picture made smaller by averaging."""
    size = [max(1, round(side * factor)) for side in array.shape[:2]]
    return _few_channels_at_once(array, lambda part: cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA))


def _resample_valid(view: CropView, array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`resample` for a map with holes (NaN): the mean of the valid neighbours, NaN where holes have most of the weight.

    Plain resampling makes every pixel NaN that a hole or the outside touches, even with a weight of 0: a mirrored frame
    would lose its first column.
    """
    valid = ~np.isnan(array if array.ndim == 2 else array.sum(axis=-1))
    mask = valid if array.ndim == 2 else valid[..., None]
    weight = resample(view, valid.astype(np.float32), size, border=0.0)
    weight[weight < 0.5] = math.nan
    out = resample(view, np.where(mask, array, np.float32(0)), size, border=0.0)
    return out / (weight if array.ndim == 2 else weight[..., None])


def jitter_colour(rng: np.random.Generator, strength: float, rgb: np.ndarray) -> np.ndarray:
    """Brightness, contrast, saturation and tint as one 3×4 colour matrix; (H, W, 3) uint8 in and out."""
    contrast, saturation = rng.uniform(1 - strength, 1 + strength, 2)
    tint = rng.uniform(1 - strength / 3, 1 + strength / 3, 3)
    brightness = rng.uniform(-strength, strength) * 80.0
    if strength == 0:
        return rgb
    grey = np.full((3, 3), 1 / 3)
    linear = contrast * np.diag(tint) @ (saturation * np.eye(3) + (1 - saturation) * grey)
    middle = 127.5 * (1 - contrast)  # contrast turns about mid-grey
    return cv2.transform(rgb, np.column_stack([linear, np.full(3, middle + brightness)]))


def cutmix_box(rng: np.random.Generator, size: tuple[int, int], multiple: int) -> tuple[slice, slice]:
    """A random rectangle of 10-50 % of the area (Yun et al., arXiv 1905.04899), corners on multiples of ``multiple``.

    On multiples, so that the same rectangle can be cut from maps of lower resolution.
    """
    height, width = (max(1, s // multiple) for s in size)
    side = math.sqrt(rng.uniform(0.1, 0.5))
    box_h, box_w = max(1, round(height * side)), max(1, round(width * side))
    top, left = int(rng.integers(height - box_h + 1)), int(rng.integers(width - box_w + 1))
    return (
        slice(top * multiple, (top + box_h) * multiple),
        slice(left * multiple, (left + box_w) * multiple),
    )
