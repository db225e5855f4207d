"""Temporal consistency: do class maps of neighbouring frames agree once the motion between them is undone?

Flow is (H, W, 2) float, x then y, in pixels: the point at (x, y) of frame t is at (x, y) + flow[y, x] in frame t + 1.
Class maps are (H, W) uint8, 255 = no answer.
"""

from __future__ import annotations

import cv2
import numpy as np

_NO_ANSWER = 255


def warp_back(map_next: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Frame t + 1's class map seen from frame t, by nearest neighbour, with the flow from t to t + 1.

    (H, W) uint8; 255 where a pixel leaves the frame or its flow is NaN.
    """
    height, width = map_next.shape
    y, x = np.indices(map_next.shape)
    y, x = y + flow[..., 1], x + flow[..., 0]
    inside = (y > -0.5) & (y < height - 0.5) & (x > -0.5) & (x < width - 0.5)  # False for a NaN flow
    rows, columns = (np.rint(np.where(inside, v, 0)).astype(np.intp) for v in (y, x))
    return np.where(inside, map_next[rows, columns], _NO_ANSWER).astype(map_next.dtype)


class Consistency:
    """Share of pixels whose class is still the same in the next frame: 1 - mean disagreement of neighbours.

    Streaming over pairs of frames, every pixel counted alike; pixels that leave the frame or are 255 in either map
    are left out.
    """

    def __init__(self) -> None:
        self._agreeing = self._pixels = 0

    def update(self, map_t: np.ndarray, map_next: np.ndarray, flow: np.ndarray) -> None:
        """Add the maps of frames t and t + 1 and the flow from t to t + 1."""
        warped = warp_back(map_next, flow)
        valid = (map_t != _NO_ANSWER) & (warped != _NO_ANSWER)
        self._agreeing += int((map_t == warped)[valid].sum())
        self._pixels += int(valid.sum())

    def result(self) -> float | None:
        """The share in 0-1, None before the first valid pixel."""
        return self._agreeing / self._pixels if self._pixels else None


def dis_flow(rgb_t: np.ndarray, rgb_next: np.ndarray) -> np.ndarray:
    """Optical flow from frame t to t + 1, (H, W, 2) float32, of two (H, W, 3) uint8 frames.

    Dense inverse search (Kroeger et al., ECCV 2016) as in OpenCV, medium preset.
    """
    grey = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in (rgb_t, rgb_next)]
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
