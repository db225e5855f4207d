"""Running a Predictor over photographs, a video or a camera: overlays, rate and latency."""

from __future__ import annotations

import mimetypes
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, writing
from edgekit.frames.images import PHOTO_SUFFIXES
from edgekit.frames.source import FrameSource
from edgekit.frames.unfinished import remove_abandoned
from edgekit.frames.video import VIDEO_SUFFIXES, VideoWriter
from edgekit.runtime.given import picture_of
from edgekit.runtime.overlay import overlay
from edgekit.runtime.predictor import Predictor
from edgekit.tasks import Task

_PICTURE, _JPEG, _JPEG_QUALITY = ".jpg", (".jpg", ".jpeg"), 92
_TYPES = mimetypes.MimeTypes(())  # the ones Python knows; a machine's own list says other things elsewhere
_RATE_FRAMES = 30  # the rate that is shown is that of the last so many frames
_USUAL_RATE = 25.0  # frames per second of a video made from what has no rate


class PictureWriter(AbstractContextManager):
    """Pictures as files: of their frames' names, JPEG, in the folder ``path``; or the one picture at ``path``."""

    def __init__(self, path: Path, *, single: bool = False):
        self._path, self._single = path, single

    def write(self, picture: np.ndarray, name: str, at: float | None = None) -> None:
        with atomic_write(self._path if self._single else self._path / f"{name}{_PICTURE}") as part:
            how = {"quality": _JPEG_QUALITY, "subsampling": 0} if part.suffix.lower() in _JPEG else {}
            Image.fromarray(picture).save(part, **how)

    def hold(self, until: float | None) -> None:
        """Nothing to do: a picture has no duration."""

    def __exit__(self, *_: object) -> None:
        """Nothing to do: every picture is already written."""


def open_output(path: Path, source: FrameSource) -> PictureWriter | VideoWriter:
    """Where overlays go: a video where ``path`` ends like one, a picture where it does and there is one, else a folder.

    EdgekitError where it is impossible, where ``path`` is named like another kind of file, where a file that ``source``
    reads would be overwritten, and where overlays would be among the photographs of a folder that is read: the next run
    would take them for its input.
    """
    with writing(path):
        remove_abandoned(path if path.is_dir() else path.absolute().parent)  # what killed runs left
        if _is_same(path, source.folder):
            what = "the overlays would lie among the photographs that are read"
            raise EdgekitError(what, where=str(path), fix="give --output a folder of its own")
        if any(_is_same(place, file) for file in source.files for place in (path, path / f"{file.stem}{_PICTURE}")):
            what = "the overlay would overwrite the input"
            raise EdgekitError(what, where=str(path), fix="give --output another name or folder")
        if path.is_dir():
            return PictureWriter(path)
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return VideoWriter(path, source.rate or _USUAL_RATE)
        if suffix in PHOTO_SUFFIXES and source.folder is None and source.count == 1:
            return PictureWriter(path, single=True)
        if suffix in PHOTO_SUFFIXES:
            what = f"'{path.name}' is one picture, and the input has more frames than that"
            raise EdgekitError(what, where="--output", fix=f"give a folder, or a video: {', '.join(VIDEO_SUFFIXES)}")
        if path.exists() or _TYPES.guess_type(path.name) != (None, None):
            raise EdgekitError(
                f"'{path.name}' is no folder" if path.exists() else f"overlays cannot be written as '{suffix}'",
                where="--output",
                fix=f"give a folder, a video ({', '.join(VIDEO_SUFFIXES)}), or for one photograph a picture "
                f"({', '.join(PHOTO_SUFFIXES)})",
            )
        return PictureWriter(path)


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and path.exists() and other.exists() and path.samefile(other)


def run(
    predictor: Predictor,
    source: FrameSource,
    tasks: Sequence[Task],
    output: PictureWriter | VideoWriter | None = None,
    *,
    limit: int | None = None,
    tile: bool | int = False,
    steady: bool = False,
    progress: Callable[[int, str], None] = lambda done, note: None,
) -> dict[str, Any]:
    """Predict every frame of ``source``, paint ``tasks`` over it, and say how fast that was.

    ``limit`` frames at most; ``tile`` as in ``Predictor.infer``; ``steady``: as ``Predictor.stream`` answers.
    ``progress(done, note)`` after each. An interrupt ends a live source as if it had ended.

    Returns frames, seconds, fps, dropped, unreadable (``{"file", "why"}`` each), ``without`` (modality → frames that
    came without it), and in milliseconds ``predict_ms``
    (frame in memory → maps) and, for a live source, ``latency_ms`` (captured → maps), each with p50, p95 and max.
    """
    began = time.perf_counter()
    predicting: list[float] = []
    latency: list[float] = []
    finished: deque[float] = deque(maxlen=_RATE_FRAMES + 1)
    if steady:
        infer = predictor.stream(tile=tile).infer
    else:
        infer = predictor.infer if tile is False else partial(predictor.infer, tile=tile)
    try:
        for shot in source:
            start = time.perf_counter()
            maps = infer(shot.image, shot.colour)
            now = time.perf_counter()
            predicting.append(now - start)
            latency.append(now - shot.captured)
            finished.append(now)
            note = _note(finished, predicting[-1], latency[-1] if source.live else None)
            if output is not None:
                rgb = picture_of(shot.image, predictor.manifest.preprocessing, shot.colour)
                picture = np.concatenate([overlay(rgb, task, maps[task.name], note) for task in tasks], axis=1)
                output.write(picture, shot.name, shot.at)
            progress(len(predicting), note)
            if limit and len(predicting) >= limit:
                break
        else:
            if output is not None:
                output.hold(source.seconds)  # a film's last frame is shown until its end
    except KeyboardInterrupt:
        if not source.live:
            raise
    seconds = time.perf_counter() - began
    return {
        "frames": len(predicting),
        "seconds": round(seconds, 3),
        "fps": round(len(predicting) / seconds, 2) if predicting else None,
        "dropped": source.dropped,
        "unreadable": [{"file": error.where, "why": error.what} for error in source.unreadable],
        "without": dict(source.without),
        "predict_ms": _spread(predicting),
        "latency_ms": _spread(latency) if source.live else None,
    }


def _note(finished: deque[float], predicting: float, latency: float | None) -> str:
    """Rate and time of the last frames, as the overlay and the progress bar show them."""
    parts = []
    if len(finished) > 1:
        parts.append(f"{(len(finished) - 1) / (finished[-1] - finished[0]):.1f} fps")
    parts.append(f"{1e3 * predicting:.0f} ms")
    if latency is not None:
        parts.append(f"latency {1e3 * latency:.0f} ms")
    return "   ".join(parts)


def _spread(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50": round(1e3 * p50, 2), "p95": round(1e3 * p95, 2), "max": round(1e3 * max(seconds), 2)}
