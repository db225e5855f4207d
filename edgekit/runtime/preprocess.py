"""From frames of any size to the network's inputs, as the manifest's pre-processing says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from edgekit.bundle.manifest import STANDARDISED, Preprocessing, Sensor, Tensor
from edgekit.runtime.placement import FramePlacement
from edgekit.tasks.modality import RGB

Frames = Mapping[str, np.ndarray]
"""Modality → its frames (N, H, W, C) in native units."""
Feed = Mapping[str, np.ndarray]
"""Name of an input → what it takes."""


class Preprocessor:
    """Makes an artifact's inputs: one for each modality, (N, H, W, C) of its native type, such as ``frames`` (N, H, W,
    3) uint8 of rgb; or all of them as one (N, C, H, W) float32, standardised.

    Buffers are allocated once per batch size and used again: what ``__call__`` returns is valid until the next call.
    A batch that needs no change is returned without a copy.
    """

    def __init__(self, preprocessing: Preprocessing, inputs: Sequence[Tensor]):
        self._placers = [_Placer(sensor) for sensor in preprocessing.sensors()]
        self._standardised = inputs[0].name == STANDARDISED
        self._channels = len(preprocessing.mean)
        self._planes = np.empty(0, np.float32)

    def __call__(self, frames: Frames, placement: FramePlacement, *, bgr: bool = False) -> Feed:
        """``frames``: missing modalities are left out. ``placement``: of the frame's size; modalities of
        another fill the same part of the input. ``bgr``: of rgb's channels.
        """
        count = len(next(iter(frames.values())))
        placed = {p.sensor.input: p(frames.get(p.sensor.task.name), count, placement, bgr) for p in self._placers}
        return {STANDARDISED: self._standardise(placed)} if self._standardised else placed

    def _standardise(self, placed: Feed) -> np.ndarray:
        n, height, width, _ = next(iter(placed.values())).shape
        if self._planes.shape != (n, self._channels, height, width):
            self._planes = np.empty((n, self._channels, height, width), np.float32)
        start = 0
        for placer in self._placers:
            stop = start + placer.sensor.task.channels
            placer.standardise(placed[placer.sensor.input], self._planes[:, start:stop])
            start = stop
        return self._planes


class _Placer:
    """Frames of one modality into their input."""

    def __init__(self, sensor: Sensor):
        self.sensor = sensor
        self._dtype = np.dtype(sensor.dtype)
        self._pad = np.array(sensor.pad, self._dtype)
        self._pixels = np.empty(0, self._dtype)
        self._filled: FramePlacement | None = None  # whose padding the buffer holds; none: all of it is padding
        self._mean, self._std = (np.array(v, np.float32)[:, None] for v in (sensor.mean, sensor.std))
        self._table = (np.arange(256, dtype=np.float32) - self._mean) / self._std  # of uint8, a row per channel

    def __call__(self, frames: np.ndarray | None, count: int, placement: FramePlacement, bgr: bool) -> np.ndarray:
        if frames is None:
            return self._buffer(count, placement.network, None)
        own = replace(placement, frame=frames.shape[1:3])
        bgr = bgr and self.sensor.task == RGB
        holes = self._dtype.kind == "f" and bool(np.isnan(frames).any())
        untouched = not (own.resized or own.padded or bgr or holes) and frames.flags.c_contiguous
        return frames if untouched else self._place(frames, own, bgr, holes)

    def _buffer(self, count: int, size: tuple[int, int], placement: FramePlacement | None) -> np.ndarray:
        """The buffer, with padding where ``placement`` has no content."""
        shape = (count, *size, len(self._pad))
        if self._pixels.shape != shape or self._filled != placement:
            if self._pixels.shape != shape:
                self._pixels = np.empty(shape, self._dtype)
            if placement is None or placement.padded:
                self._pixels[:] = self._pad
            self._filled = placement
        return self._pixels

    def _place(self, frames: np.ndarray, placement: FramePlacement, bgr: bool, holes: bool) -> np.ndarray:
        pixels = self._buffer(len(frames), placement.network, placement)
        height, width = placement.content
        for frame, slot in zip(frames, pixels, strict=True):
            if placement.resized:
                frame = resized(frame, (height, width))
            part = slot[:height, :width]
            part[...] = frame[..., ::-1] if bgr else frame
            if holes:  # after resizing: what a hole touches is not known either
                np.copyto(part, self._pad, where=np.isnan(part))
        return pixels

    def standardise(self, pixels: np.ndarray, planes: np.ndarray) -> None:
        """``pixels`` (N, H, W, C) into ``planes`` (N, C, H, W) float32."""
        for frame, out in zip(pixels, planes, strict=True):
            for c in range(len(out)):
                if self._dtype == np.uint8:
                    np.take(self._table[c], frame[..., c], out=out[c], mode="clip")  # "raise" would buffer the result
                else:
                    np.divide(frame[..., c] - self._mean[c], self._std[c], out=out[c])


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, C) uint8 or float32 at another size (H, W): bilinear, antialiased where it shrinks."""
    height, width = size
    if frame.dtype == np.uint8 and frame.shape[2] == 3:
        image = Image.fromarray(np.ascontiguousarray(frame))
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    planes = [Image.fromarray(np.ascontiguousarray(frame[..., c])) for c in range(frame.shape[2])]
    return np.stack([np.asarray(p.resize((width, height), Image.Resampling.BILINEAR)) for p in planes], axis=2)
