"""Frames larger than the network, in overlapping tiles that are blended before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from edgekit.bundle.manifest import SIZE_MULTIPLE, Preprocessing
from edgekit.errors import EdgekitError
from edgekit.runtime.placement import FramePlacement

Size = tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """Where the tiles of one frame lie.

    frame    (H, W) of the frame, whose own pixels the network sees
    canvas   (H, W) that the tiles cover: the frame, padded below and to the right as a whole frame would be
    tile     (H, W) of the network's input
    corners  (row, column) of each tile's first pixel
    margin   pixels at a tile's side, where another tile goes on, whose answers do not count
    overlap  least pixels that neighbours share
    """

    frame: Size
    canvas: Size
    tile: Size
    corners: tuple[Size, ...]
    margin: int
    overlap: int

    @classmethod
    def of(cls, frame: Size, tile: Size, field: int | None, stride: int, overlap: int | None) -> Tiling:
        """``field``: the network's receptive field in pixels. ``overlap`` None: as much as that needs, so that every
        pixel is answered by a tile that holds all that its answer depends on. EdgekitError where that cannot be."""
        margin = 0
        if overlap is None:
            if field is None:
                raise EdgekitError(
                    "how far the network sees is not known, or it sees the whole frame, so tiles cannot give what the "
                    "whole frame would",
                    where="tile",
                    fix="state an overlap in pixels (--overlap, tile=64), and look at the seams",
                )
            margin = _up(-(-(field - stride) // 2), stride)
            overlap = 2 * margin
        overlap = _up(overlap, SIZE_MULTIPLE)
        larger = [side for side, given in zip(tile, frame, strict=True) if given > side]
        if larger and overlap >= min(larger):
            raise EdgekitError(
                f"tiles of {tile[0]}x{tile[1]} pixels "
                + (
                    f"are too small for the network's receptive field, {field}"
                    if margin
                    else f"cannot overlap by {overlap}"
                ),
                where="tile",
                fix=f"export a larger network, export.size: at least {overlap + SIZE_MULTIPLE} each"
                + (", or state a smaller overlap (--overlap, tile=64) and look at the seams" if margin else ""),
            )
        canvas = tuple(max(side, _up(given, SIZE_MULTIPLE)) for given, side in zip(frame, tile, strict=True))
        rows, columns = (_starts(length, side, side - overlap) for length, side in zip(canvas, tile, strict=True))
        return cls(frame, canvas, tile, tuple(product(rows, columns)), margin, overlap)

    def weights(self, corner: Size, stride: int) -> np.ndarray:
        """How much a tile's answers count, (h, w) float32, a pixel per ``stride`` of the tile.

        0 in the margin, from there rising to 1 over the rest of the overlap; 1 at the sides of the canvas.
        """
        rows, columns = (
            _ramp(side, start > 0, start + side < length, self.margin, self.overlap, stride)
            for start, side, length in zip(corner, self.tile, self.canvas, strict=True)
        )
        return rows[:, None] * columns

    def placement(self) -> FramePlacement:
        """Where the frame lies in the canvas."""
        return FramePlacement(self.frame, self.frame, self.canvas)


class Blend:
    """Sums of weighted answers of the tiles of one frame, by the name of the graph's output."""

    def __init__(self, tiling: Tiling, strides: dict[str, int]):
        """``strides``: name → input pixels per pixel of the answers."""
        self._tiling, self._strides = tiling, strides
        self._sums: dict[str, np.ndarray] = {}
        self._totals: dict[int, np.ndarray] = {}
        for stride in set(strides.values()):
            self._totals[stride] = np.zeros([side // stride for side in tiling.canvas], np.float32)
            for corner in tiling.corners:
                self._part(self._totals[stride], corner, stride)[...] += tiling.weights(corner, stride)

    def add(self, corner: Size, answers: dict[str, np.ndarray]) -> None:
        """A tile's answers, each (h, w) or (C, h, w)."""
        for name, stride in self._strides.items():
            answer = answers[name].astype(np.float32, copy=False)
            if name not in self._sums:
                self._sums[name] = np.zeros((*answer.shape[:-2], *self._totals[stride].shape), np.float32)
            self._part(self._sums[name], corner, stride)[...] += answer * self._tiling.weights(corner, stride)

    def means(self) -> dict[str, np.ndarray]:
        """The blended answers, of the canvas."""
        return {name: total / self._totals[self._strides[name]] for name, total in self._sums.items()}

    def _part(self, whole: np.ndarray, corner: Size, stride: int) -> np.ndarray:
        (top, left), (height, width) = corner, self._tiling.tile
        return whole[..., top // stride : (top + height) // stride, left // stride : (left + width) // stride]


def depth_factor(preprocessing: Preprocessing, frame: Size, network: Size) -> float:
    """What metric depth is multiplied by where the network sees the frame's own pixels, rather than ever fewer of a
    larger frame of the same view: ``depth_scale``, without the factor by which the frame would have been resized."""
    room = preprocessing.content if preprocessing.content and network == preprocessing.size else network
    rows, columns = (most / side for most, side in zip(room, frame, strict=True))
    resized = (rows * columns) ** 0.5 if preprocessing.fit == "stretch" else min(rows, columns, 1.0)
    return preprocessing.depth_scale / resized


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where tiles begin along an axis: at 0, at the end, and evenly between, at most ``step`` apart."""
    if length == side:
        return [0]
    count = -(-(length - side) // step)
    return [0, *((length - side) * i // count // SIZE_MULTIPLE * SIZE_MULTIPLE for i in range(1, count + 1))]


def _ramp(side: int, before: bool, after: bool, margin: int, overlap: int, stride: int) -> np.ndarray:
    """The weights of a tile along an axis; ``before``, ``after``: whether other tiles go on there."""
    away = np.arange(0, side, stride, dtype=np.float32)  # of a pixel's nearer edge from the tile's first side
    rise = max(overlap - 2 * margin, stride)
    weight = np.ones(len(away), np.float32)
    for there, distance in ((before, away), (after, away[::-1])):
        if there:
            weight *= np.clip((distance - margin + stride / 2) / rise, 0, 1) * (distance >= margin)
    return weight


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
