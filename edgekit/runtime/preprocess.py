"""From frames of any size to the network's input, as the manifest's pre-processing says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgekit.bundle.manifest import Preprocessing, Tensor
from edgekit.runtime.placement import FramePlacement


class Preprocessor:
    """Makes an artifact's input: ``frames`` (N, H, W, 3) uint8 rgb, or (N, 3, H, W) float32, standardised.

    The buffer is allocated once per batch size and used again: what ``__call__`` returns is valid until the next call.
    A batch that needs no change is returned without a copy.
    """

    def __init__(self, preprocessing: Preprocessing, tensor: Tensor):
        self._preprocessing = preprocessing
        self._standardised = tensor.dtype != "uint8"
        self._pixels = np.empty(0, np.uint8)
        self._planes = np.empty(0, np.float32)
        self._filled: FramePlacement | None = None  # whose padding the buffer holds
        mean, std = (np.array(v, np.float32)[:, None] for v in (preprocessing.mean, preprocessing.std))
        self._table = (np.arange(256, dtype=np.float32) - mean) / std  # (3, 256): a value standardised, per channel

    def __call__(self, frames: np.ndarray, placement: FramePlacement, *, bgr: bool = False) -> np.ndarray:
        """``frames`` (N, H, W, 3) uint8 of the placement's frame size."""
        untouched = not (placement.resized or placement.padded or bgr) and frames.flags.c_contiguous
        pixels = frames if untouched else self._place(frames, placement, bgr)
        return self._standardise(pixels) if self._standardised else pixels

    def _place(self, frames: np.ndarray, placement: FramePlacement, bgr: bool) -> np.ndarray:
        shape = (len(frames), *placement.network, 3)
        if self._pixels.shape != shape or self._filled != placement:
            if self._pixels.shape != shape:
                self._pixels = np.empty(shape, np.uint8)
            if placement.padded:
                self._pixels[:] = self._preprocessing.pad
            self._filled = placement
        height, width = placement.content
        for frame, slot in zip(frames, self._pixels, strict=True):
            if placement.resized:
                image = Image.fromarray(np.ascontiguousarray(frame))
                frame = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))  # antialiased
            slot[:height, :width] = frame[..., ::-1] if bgr else frame
        return self._pixels

    def _standardise(self, pixels: np.ndarray) -> np.ndarray:
        n, height, width, _ = pixels.shape
        if self._planes.shape != (n, 3, height, width):
            self._planes = np.empty((n, 3, height, width), np.float32)
        for frame, planes in zip(pixels, self._planes, strict=True):
            for c in range(3):
                np.take(self._table[c], frame[..., c], out=planes[c], mode="clip")  # "raise" would buffer the result
        return self._planes
