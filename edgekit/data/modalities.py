"""Modalities computed from rgb: more views of a frame for a teacher that has only photographs.

Each is a function of one frame alone and commutes with mirroring, so that it may be computed before or after
augmentation. All sizes are in pixels: a modality of a crop equals the crop of the modality away from the border
(``edges`` up to its contrast factor).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgekit.parts import Parts
from edgekit.tasks import Task

_TEXTURE_WINDOWS = (5, 13, 29)
_BLUR_WINDOW = 31
_FAINT_EDGE = 4.0  # grey levels per pixel


@dataclass(frozen=True)
class Computed:
    """A modality and how it comes from rgb: (H, W, 3) uint8 to the task's native array.

    ``version`` is raised when what ``compute`` gives changes, so that stored maps are made again.
    """

    task: Task
    compute: Callable[[np.ndarray], np.ndarray]
    version: int = 1


def hsv(rgb: np.ndarray) -> np.ndarray:
    """Hue, saturation, value, (H, W, 3) float32 in 0-1; the hue of grey is 0."""
    image = cv2.cvtColor(_unit(rgb), cv2.COLOR_RGB2HSV)
    image[..., 0] /= 360
    return image


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (sRGB, D65), (H, W, 3) float32 in 0-1: L / 100, (a + 128) / 255, (b + 128) / 255."""
    image = cv2.cvtColor(_unit(rgb), cv2.COLOR_RGB2LAB)
    return (image + np.float32([0, 128, 128])) / np.float32([100, 255, 255])


def edges(rgb: np.ndarray) -> np.ndarray:
    """Gradient magnitude of luminance (Scharr), (H, W) float32 in 0-1.

    One is the frame's 99th percentile, which neither a single glint nor the exposure moves much; at least 4 grey
    levels per pixel, so that the noise of an empty frame does not pass for edges.
    """
    grey = _luminance(rgb)
    # 1/32: the Scharr weights of one side sum to 16, across a distance of 2 pixels
    across = cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32)
    # not cv2.magnitude, whose last bit depends on where the arrays lie in memory: a resumed run would not be the same
    magnitude = np.sqrt(across * across + down * down)
    strong = max(float(np.percentile(magnitude, 99)), _FAINT_EDGE)
    return np.minimum(magnitude / np.float32(strong), 1)


def texture(rgb: np.ndarray) -> np.ndarray:
    """Local statistics of luminance, (H, W, 6) float32 in 0-1: mean and twice the standard deviation.

    In windows of 5, 13 and 29 pixels, in the order mean 5, deviation 5, mean 13, …
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)  # integers: their sums are exact, so that a flat window deviates by 0
    statistics = np.empty((*grey.shape, 2 * len(_TEXTURE_WINDOWS)), dtype=np.float32)
    for i, window in enumerate(_TEXTURE_WINDOWS):
        mean = cv2.boxFilter(grey, cv2.CV_32F, (window, window))
        variance = cv2.sqrBoxFilter(grey, cv2.CV_32F, (window, window)) - mean * mean
        statistics[..., 2 * i] = mean
        statistics[..., 2 * i + 1] = 2 * np.sqrt(np.maximum(variance, 0))
    statistics /= 255
    return statistics


def wide_blur(rgb: np.ndarray) -> np.ndarray:
    """The colours of the surroundings, (H, W, 3) uint8: three box blurs of 31 pixels, a Gaussian of sigma 15.5."""
    image = rgb.astype(np.float32)
    for _ in range(3):
        image = cv2.blur(image, (_BLUR_WINDOW, _BLUR_WINDOW))
    return np.rint(image).astype(np.uint8)


def _unit(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float32) / 255


def _luminance(rgb: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0-255 with the weights of ITU-R BT.601."""
    return cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2GRAY)


_OWN = {
    "hsv": Computed(Task("hsv", "modality", channels=3), hsv),
    "lab": Computed(Task("lab", "modality", channels=3), lab),
    "edges": Computed(Task("edges", "modality", channels=1), edges),
    "texture": Computed(Task("texture", "modality", channels=2 * len(_TEXTURE_WINDOWS)), texture),
    "blur": Computed(Task("blur", "modality", channels=3, range=(0.0, 255.0)), wide_blur),
}

COMPUTED: Parts[Computed] = Parts("edgekit.modalities", "computed modality", _OWN, base=Computed)


class _ComputedTasks(Mapping[str, Task]):
    def __getitem__(self, name: str) -> Task:
        if name not in COMPUTED:
            raise KeyError(name)
        return replace(COMPUTED[name].task, name=name)

    def __contains__(self, name: object) -> bool:
        return name in COMPUTED

    def __iter__(self) -> Iterator[str]:
        return iter(COMPUTED)

    def __len__(self) -> int:
        return len(COMPUTED)


def with_computed(tasks: Mapping[str, Task]) -> Mapping[str, Task]:
    """The tasks of a source, and those that are computed from rgb; these are imported when asked for."""
    return ChainMap(tasks, _ComputedTasks())
