"""What is measured of each frame that may be chosen: defects, what it shows, and what is predicted for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np

from edgekit.data.folders import natural
from edgekit.errors import EdgekitError

READERS = 4
_CELLS = 4  # a frame is described in 4×4 cells
_HEIGHT, _WIDTH = 64, 96  # of the small picture that is described
_LEVELS = 4  # of each colour in the histogram
_DARK, _BRIGHT = 5, 250
_BLUR = 9  # pixels of the box that a frame is blurred with
_SHARP_SIDE = 640  # sharpness is measured at most at this width: beyond it, it is the camera's noise

DEFECTS = ("blurred", "badly exposed", "without content")


@dataclass(frozen=True)
class Predicted:
    """What teachers or experts say of a frame.

    disagreement  mean per map that has one, 0-1; NaN where it is unknown
    classes       per semantic map the probabilities (h, w, C), of any resolution
    """

    disagreement: Sequence[float]
    classes: Sequence[np.ndarray]


@dataclass(frozen=True)
class CandidateFrame:
    """A frame that may be chosen: its name in lists, its scene, and how to read it (EdgekitError where it is damaged).

    ``rgb`` gives (H, W, 3) uint8; ``predicted`` is None where nothing is predicted.
    """

    name: str
    scene: str
    rgb: Callable[[], np.ndarray]
    predicted: Callable[[], Predicted] | None = None


@dataclass
class Measured:
    """Of n frames: ``defects`` (n, 3) 0-1 as in DEFECTS; ``blocks`` descriptions (n, D), each of one sort;
    ``disagreement`` (n, K) and per semantic map ``shares`` (n, C), both empty where nothing is predicted; ``unread``:
    name -> why, of further frames that could not be read.
    """

    frames: list[CandidateFrame] = field(default_factory=list)
    defects: np.ndarray = field(default_factory=lambda: np.zeros((0, len(DEFECTS))))
    blocks: list[np.ndarray] = field(default_factory=list)
    disagreement: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    shares: list[np.ndarray] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


def measure(
    frames: Sequence[CandidateFrame], progress: Callable[[int, int], None] = lambda done, total: None
) -> Measured:
    """Read each frame once, in the order of names. What is kept of one takes a few kilobytes."""
    found, rows = Measured(), []
    frames = sorted(frames, key=lambda frame: natural(frame.name))
    with ThreadPoolExecutor(READERS) as readers:
        for done, (frame, row) in enumerate(zip(frames, readers.map(_measured, frames), strict=True), 1):
            if isinstance(row, EdgekitError):
                found.unread[frame.name] = row.what
            else:
                found.frames.append(frame)
                rows.append(row)
            progress(done, len(frames))
    if rows:
        defects, blocks, disagreement, shares = zip(*rows, strict=True)
        found.defects, found.disagreement = np.stack(defects), np.stack(disagreement)
        found.blocks = [np.stack(block) for block in zip(*blocks, strict=True)]
        found.shares = [np.stack(share) for share in zip(*shares, strict=True)]
    return found


def _measured(frame: CandidateFrame):
    try:
        rgb = frame.rgb()
        said = frame.predicted() if frame.predicted else Predicted((), ())
    except EdgekitError as error:
        return error
    grids = [_cells(probabilities.astype(np.float32)).mean(axis=(2, 3)) for probabilities in said.classes]
    blocks = [*describe(rgb), *(np.sqrt(grid).ravel() for grid in grids)]
    return defects(rgb), blocks, np.array(said.disagreement, float), [grid.mean(axis=(0, 1)) for grid in grids]


def defects(rgb: np.ndarray) -> np.ndarray:
    """(3,) float, 0 (none) to 1: blur, share of clipped pixels, share of pixels without content.

    Blur is how little of the differences between neighbours a further blur takes away (Crété et al., The blur effect,
    2007), which depends little on how much there is to see. Pixels without content are not clipped and exactly as their
    neighbours above and to the left, as decoders leave them where a film is damaged.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    clipped = (grey <= _DARK) | (grey >= _BRIGHT)
    same = ((rgb[1:, 1:] == rgb[:-1, 1:]) & (rgb[1:, 1:] == rgb[1:, :-1])).all(axis=-1) & ~clipped[1:, 1:]
    if grey.shape[1] > _SHARP_SIDE:
        size = (_SHARP_SIDE, max(2, round(grey.shape[0] * _SHARP_SIDE / grey.shape[1])))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    blur = max(_blur(grey.astype(np.float32), axis) for axis in (0, 1))
    return np.array([blur, clipped.mean(), same.mean() if same.size else 0.0])


def _blur(grey: np.ndarray, axis: int) -> float:
    """Along one axis, so that a camera's motion to one side is seen."""
    box = (1, _BLUR) if axis == 0 else (_BLUR, 1)
    own = np.abs(np.diff(grey, axis=axis))
    again = np.abs(np.diff(cv2.blur(grey, box), axis=axis))
    total = float(own.sum())
    return 1.0 - float(np.maximum(own - again, 0).sum()) / total if total > 0 else 1.0


def describe(rgb: np.ndarray) -> list[np.ndarray]:
    """Three float32 descriptions of what a frame shows: colours of the whole, colours of cells, textures of cells."""
    small = cv2.resize(rgb, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    code = (small // (256 // _LEVELS)).astype(np.int64) @ np.array([_LEVELS**2, _LEVELS, 1])
    colours = np.sqrt(np.bincount(code.ravel(), minlength=_LEVELS**3) / code.size)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    cells = _cells(lab)
    along = np.concatenate([cells.mean(axis=(2, 3)), cells.std(axis=(2, 3))], axis=-1)
    dx, dy = cv2.Sobel(lab[..., 0], cv2.CV_32F, 1, 0), cv2.Sobel(lab[..., 0], cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    turn = np.floor(np.mod(np.arctan2(dy, dx), np.pi) / np.pi * 6).astype(int) % 6
    edges = _cells(np.eye(6, dtype=np.float32)[turn] * strength[..., None])
    texture = np.sqrt(edges.mean(axis=(2, 3)))
    return [block.astype(np.float32).ravel() for block in (colours, along, texture)]


def _cells(array: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (4, 4, h, w, C), at a size that the cells divide."""
    height, width = (_CELLS * max(1, side // _CELLS) for side in array.shape[:2])
    if (height, width) != array.shape[:2]:
        rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), array.shape[:2], strict=True))
        array = array[np.ix_(rows, columns)]
    return array.reshape(_CELLS, height // _CELLS, _CELLS, width // _CELLS, -1).transpose(0, 2, 1, 3, 4)
