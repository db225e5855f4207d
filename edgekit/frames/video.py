"""Reading and writing video files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write
from edgekit.frames.opencv import import_cv2, open_film
from edgekit.frames.outside import open_regular
from edgekit.frames.source import CapturedFrame, FrameSource

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
_CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
_CONTAINERS = {
    0: (b"\x1aE\xdf\xa3", b"RIFF", b"FLV\x01", b"OggS", b"YUV4MPEG2", b"DKIF", b"GIF8", b"0&\xb2u", b"\x06\x0e+4",
        b"G@", b"\0\0\x01", b"\0\0\0\x01"),
    4: (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"),
}  # fmt: skip
"""Place → how files that are films begin there. Of others FFmpeg makes films too: of a terminal's text, of a list of
other files or addresses, which it then opens."""
_ANY_SIZE = 1 << 62
_LOOKED_AT = 50  # frames at a film's beginning, to know how far apart they are


def _is_film(path: Path) -> bool:
    """By how the file begins."""
    with open_regular(path, what="the film", most=_ANY_SIZE, fix="make it readable, or copy it again") as file:
        start = file.read(16)
    return any(start.startswith(known, place) for place, begins in _CONTAINERS.items() for known in begins)


class EndsEarly(EdgekitError):
    """A video ends before the time it states. The frames before the end were good."""


class CannotOpen(EdgekitError):
    """A file is no film, or none that OpenCV can open."""


class Video(FrameSource):
    """The frames of a video file. ``count`` and ``seconds`` as the file states them, or None.

    Many containers state a length and a highest frame rate, and OpenCV's count is their product; a film of irregular
    frames has fewer. So a film also counts as whole where the time of its last frame reaches the stated length.

    CannotOpen where it is no film, EdgekitError where it is no file; EndsEarly from the iteration where it ends long
    before its stated end.
    """

    def __init__(self, path: Path):
        self._path = path
        self.files = [path]
        self._capture = open_film(str(path.absolute())) if _is_film(path) else None
        if self._capture is None:
            raise CannotOpen(
                "the video cannot be opened",
                where=str(path),
                fix="it may be truncated, damaged, or of a codec that OpenCV has not; try `ffmpeg -i FILE fixed.mp4`",
            )
        cv2 = import_cv2()
        count, rate = self._capture.get(cv2.CAP_PROP_FRAME_COUNT), self._capture.get(cv2.CAP_PROP_FPS)
        self.count = int(count) if count > 0 else None
        self.seconds = count / rate if count > 0 and rate > 0 else None
        self._stated_rate: float | None = rate if 0 < rate < 1000 else None

    @property
    def rate(self) -> float | None:
        """Frames per second: as stated, or as measured over the first frames where that differs."""
        cv2, times = import_cv2(), []
        capture = open_film(str(self._path.absolute()))
        while capture is not None and len(times) < _LOOKED_AT and capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
        steps = np.diff(times)
        # A quarter of the frames or more are as near as this: gaps do not count, nor does a single pair.
        near = float(np.sort(steps)[len(steps) // 4]) if len(steps) else 0.0
        if not 1 / 240 < near < 10 or (self._stated_rate and abs(near * self._stated_rate - 1) < 0.1):
            return self._stated_rate
        return 1 / float(steps[(steps > 0.8 * near) & (steps < 1.2 * near)].mean())  # times are rounded, often to 1 ms

    def __iter__(self) -> Iterator[CapturedFrame]:
        cv2 = import_cv2()
        first, at, gap, done = 0.0, 0.0, 0.0, 0
        while True:
            good, image = self._capture.read()
            if not good:
                break
            now = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            first = first if done else now
            step, at = now - first - at, now - first
            gap = max(gap, step)
            # Without times, as in a bare stream of H.264, OpenCV gives the same one for every frame.
            yield CapturedFrame(image, "bgr", f"{done:06d}", time.perf_counter(), at if step > 0 or not done else None)
            done += 1
        # Containers state counts and lengths that are a little off; how long the last frame is shown, none states.
        counted = not self.count or done >= 0.98 * self.count - 2
        timed = self.seconds and at + gap >= 0.98 * self.seconds - self.seconds / self.count
        if done == 0 or not (counted or timed):
            raise EndsEarly(
                f"the video ends after {done} of {self.count or 'unknown'} frames",
                where=str(self._path),
                fix="it is truncated or damaged: copy it again; results of the frames before its end are kept",
            )

    def close(self) -> None:
        self._capture.release()


class VideoWriter:
    """Writes (H, W, 3) uint8 rgb pictures to a video file, which exists once the block ends without an exception.

    It also exists where the input ended early (EndsEarly). EdgekitError at the end where the file cannot be
    read back whole: encoders do not report a full disk. OpenCV writes even sizes only: an odd side becomes one pixel
    longer by repeating the last row or column.
    """

    def __init__(self, path: Path, rate: float):
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise EdgekitError(
                f"'{path.suffix}' is no video that can be written", where=str(path), fix=f"use {', '.join(_CODECS)}"
            )
        self._cv2, self._path, self._rate, self._codec = import_cv2(), path, rate, codec
        self._part = atomic_write(path)
        self._writer: Any = None
        self._written = 0
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> VideoWriter:
        self._file = self._part.__enter__()
        return self

    def write(self, picture: np.ndarray, name: str = "", at: float | None = None) -> None:
        """A picture that is shown from ``at`` seconds on, default right behind the one before; ``name`` is not needed.

        The film has a constant rate: the picture before is shown until then, and of two at one time the first alone.
        EdgekitError where the encoder is missing, or the pictures' size changes.
        """
        place = self._written if at is None else round(at * self._rate)
        if place < self._written:
            return
        self.hold(place / self._rate)
        self._last = picture
        self._encode(picture)

    def hold(self, until: float | None) -> None:
        """Show the last picture until so many seconds from the beginning."""
        while until is not None and self._written and self._written < round(until * self._rate):
            self._encode(self._last)

    def _encode(self, picture: np.ndarray) -> None:
        size = (picture.shape[1], picture.shape[0])
        odd = (size[1] % 2, size[0] % 2)
        if self._writer is None:
            self._size = size
            even = (size[0] + odd[1], size[1] + odd[0])
            self._writer = self._cv2.VideoWriter(
                str(self._file), self._cv2.VideoWriter_fourcc(*self._codec), self._rate, even
            )
            if not self._writer.isOpened():
                raise EdgekitError(
                    f"OpenCV cannot encode {self._codec} at {size[0]}×{size[1]}",
                    where=str(self._path),
                    fix="write to another kind of file (.avi), or to a folder",
                )
        if size != self._size:
            raise EdgekitError(
                f"a frame of {size[0]}×{size[1]} after ones of {self._size[0]}×{self._size[1]}",
                where=str(self._path),
                fix="frames of different sizes make no video: write to a folder",
            )
        if any(odd):
            picture = np.pad(picture, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        self._writer.write(np.ascontiguousarray(picture[..., ::-1]))
        self._written += 1

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.release()
        if isinstance(error, EndsEarly) and self._writer is not None:
            kind = error = trace = None
        problem = self._problem() if kind is None else None
        if problem:
            kind, error = EdgekitError, problem
        self._part.__exit__(kind, error, trace)
        if problem:
            raise problem

    def _problem(self) -> EdgekitError | None:
        """What is wrong with the file that was written."""
        if self._writer is None:
            return EdgekitError(
                "there was no frame to write", where=str(self._path), fix="give an input that has frames"
            )
        found = _readable_frames(self._file, self._written)
        if found >= self._written:
            return None
        free = shutil.disk_usage(self._file.parent).free
        return EdgekitError(
            f"the video was not written whole: {found} of {self._written} frames can be read back; "
            f"the disk may be full ({free / 1e6:,.0f} MB are free)",
            where=str(self._path),
            fix="free some space there, or name another place to write to",
        )


def _readable_frames(file: Path, expected: int) -> int:
    """How many frames of a video can be read; all those expected if the last of them can."""
    cv2, capture = import_cv2(), open_film(str(file))
    if capture is None:
        return 0
    try:
        # The count that a truncated file states may be right, or none: both say nothing alone.
        states_all = capture.get(cv2.CAP_PROP_FRAME_COUNT) >= expected
        if states_all and capture.set(cv2.CAP_PROP_POS_FRAMES, expected - 1) and capture.read()[0]:
            return expected
    finally:
        capture.release()
    capture, found = open_film(str(file)), 0
    while capture is not None and capture.grab():
        found += 1
    return found
