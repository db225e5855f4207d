"""Reading and writing films."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import atomic_write
from edgekit.frames.outside import open_regular
from edgekit.frames.pyav import Upright, import_av, open_film
from edgekit.frames.source import CapturedFrame, FrameSource

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
RECORDED_SUFFIXES = (*VIDEO_SUFFIXES, ".ts", ".mts", ".m2ts", ".mpg", ".mpeg")
"""Of films in folders: recorders of streams and camcorders write more than is written here."""
_CODECS = {".mp4": "mpeg4", ".m4v": "mpeg4", ".mov": "mpeg4", ".avi": "mjpeg", ".mkv": "mpeg4"}
_BITS = 4  # of a pixel, at most
_CONTAINERS = {
    0: (b"\x1aE\xdf\xa3", b"RIFF", b"FLV\x01", b"OggS", b"YUV4MPEG2", b"DKIF", b"GIF8", b"0&\xb2u", b"\x06\x0e+4",
        b"G@", b"\0\0\x01", b"\0\0\0\x01"),
    4: (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"),
}  # fmt: skip
"""Place → how files that are films begin there. Of others FFmpeg makes films too: of a terminal's text, of a list of
other files or addresses, which it then opens."""
_ANY_SIZE = 1 << 62
_LOOKED_AT = 50  # frames at a film's beginning, to know how far apart they are
_SLOWEST = 1 / 1001  # frames per second of a film that is written; slower ones show a frame several times


def _is_film(path: Path) -> bool:
    """By how the file begins."""
    with open_regular(path, what="the film", most=_ANY_SIZE, fix="make it readable, or copy it again") as file:
        start = file.read(16)
    return any(start.startswith(known, place) for place, begins in _CONTAINERS.items() for known in begins)


class EndsEarly(EdgekitError):
    """A video ends before the time it states. The frames before the end were good."""


class CannotOpen(EdgekitError):
    """A file is no film, or none that FFmpeg can open."""


class Video(FrameSource):
    """The frames of a video file, as FFmpeg decodes and shows them: in order, upright, in the colours that it states.

    ``count`` and ``seconds`` as the file states them, or None. A count may be the product of length and rate, and a
    film of irregular frames have fewer. Audio is passed over, and so are packets that cannot be decoded.

    CannotOpen where it is no film, EdgekitError where it is no file; EndsEarly from the iteration where it ends long
    before its stated end.
    """

    def __init__(self, path: Path):
        self._path = path
        self.files = [path]
        self._container = open_film(path) if _is_film(path) else None
        if self._container is None:
            raise CannotOpen(
                "the video cannot be opened",
                where=str(path),
                fix="it may be truncated, damaged, or of a codec that PyAV has not; try `ffmpeg -i FILE fixed.mp4`",
            )
        stream = self._container.streams.video[0]
        self.seconds = _seconds(self._container, stream)
        rate = stream.guessed_rate or stream.average_rate
        self._stated_rate = float(rate) if rate and rate < 1000 else None
        estimate = max(1, round(self.seconds * self._stated_rate)) if self.seconds and self._stated_rate else None
        self.count = stream.frames or estimate

    @property
    def rate(self) -> float | None:
        """Frames per second: as stated, or as measured over the first frames where that differs."""
        container = open_film(self._path)
        if container is None:  # it was there a moment ago
            return self._stated_rate
        with container, contextlib.suppress(import_av().FFmpegError):  # as of a file that was cut off
            stamps = []
            for packet in islice(container.demux(container.streams.video[0]), _LOOKED_AT):
                stamps.append((packet.dts if packet.pts is None else packet.pts, packet.time_base))
        steps = np.diff(sorted(float(stamp * base) for stamp, base in stamps if stamp is not None))
        # A quarter of the frames or more are as near as this: gaps do not count, nor does a single pair.
        near = float(np.sort(steps)[len(steps) // 4]) if len(steps) else 0.0
        if not 1 / 240 < near < 10 or (self._stated_rate and abs(near * self._stated_rate - 1) < 0.1):
            return self._stated_rate
        step = float(steps[(steps > 0.8 * near) & (steps < 1.2 * near)].mean())  # times are rounded, often to 1 ms
        return float(Fraction(1 / step).limit_denominator(1001))

    def __iter__(self) -> Iterator[CapturedFrame]:
        upright, first, at, gap, done = Upright(), 0.0, 0.0, 0.0, 0
        for frame in self._decoded():
            if frame.time is not None:  # as in a bare stream of H.264
                first = first if done else frame.time
                gap, at = max(gap, frame.time - first - at), frame.time - first
            seen = None if frame.time is None else at
            yield CapturedFrame(upright(frame), "rgb", f"{done:06d}", time.perf_counter(), seen)
            done += 1
        # Containers state counts and lengths that are a little off; how long the last frame is shown, few state.
        counted = not self.count or done >= 0.98 * self.count - 2
        timed = self.seconds and at + gap >= 0.98 * self.seconds - self.seconds / (self.count or done or 1)
        if done == 0 or not (counted or timed):
            raise EndsEarly(
                f"the video ends after {done} of {self.count or 'unknown'} frames",
                where=str(self._path),
                fix="it is truncated or damaged: copy it again; results of the frames before its end are kept",
            )

    def _decoded(self) -> Iterator[Any]:
        av = import_av()
        packets = self._container.demux(self._container.streams.video[0])
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # as of a file that was cut off
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            yield from frames

    def close(self) -> None:
        self._container.close()


def _seconds(container: Any, stream: Any) -> float | None:
    """How long the pictures are, which audio may outlast, as the whole file states it even where it was cut off."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if stream.duration:
        return float(stream.duration * stream.time_base)
    # Matroska
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip("\0"))
    if tag:
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    return container.duration / 1e6 if container.duration else None


class VideoWriter:
    """Writes (H, W, 3) uint8 rgb pictures to a video file, which exists once the block ends without an exception.

    It also exists where the input ended early (EndsEarly). EdgekitError where the disk is full. Chroma has half the
    size: an odd side becomes one pixel longer by repeating the last row or column.
    """

    def __init__(self, path: Path, rate: float):
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise EdgekitError(
                f"'{path.suffix}' is no video that can be written", where=str(path), fix=f"use {', '.join(_CODECS)}"
            )
        self._av, self._path, self._codec = import_av(), path, codec
        self._rate = max(rate, _SLOWEST)
        self._part = atomic_write(path)
        self._container: Any = None
        self._written = 0
        self._last: np.ndarray | None = None
        self._waits = False  # the last picture, to be encoded
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> VideoWriter:
        self._file = self._part.__enter__()
        return self

    def write(self, picture: np.ndarray, name: str = "", at: float | None = None) -> None:
        """A picture that is shown from ``at`` seconds on, default right behind the one before; ``name`` is not needed.

        The film has a constant rate: the picture before is shown until then, and of two at one time the second alone.
        EdgekitError where the pictures' size changes.
        """
        size = (picture.shape[1], picture.shape[0])
        self._size = self._size or size
        if size != self._size:
            raise EdgekitError(
                f"a frame of {size[0]}×{size[1]} after ones of {self._size[0]}×{self._size[1]}",
                where=str(self._path),
                fix="frames of different sizes make no video: write to a folder",
            )
        self._show(self._written + self._waits if at is None else round(at * self._rate))
        self._last, self._waits = picture.copy(), True

    def hold(self, until: float | None) -> None:
        """Show the last picture until so many seconds from the beginning."""
        if until is not None:
            self._show(round(until * self._rate))

    def _show(self, until: int) -> None:
        """Encode the last picture up to so many frames from the beginning."""
        while self._last is not None and self._written < until:
            self._encode(self._last)
            self._waits = False

    def _encode(self, picture: np.ndarray) -> None:
        odd = (picture.shape[0] % 2, picture.shape[1] % 2)
        if any(odd):
            picture = np.pad(picture, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        if self._container is None:
            self._open(picture.shape[1], picture.shape[0])
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts = self._written
        self._mux(frame)
        self._written += 1

    def _open(self, width: int, height: int) -> None:
        self._container = self._av.open(str(self._file), "w")
        # MPEG-4 counts time in units of at least 1/65535 of a second
        rate = Fraction(self._rate).limit_denominator(max(1, min(1001, int(65535 / self._rate))))
        self._stream = self._container.add_stream(self._codec, rate=rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuvj420p" if self._codec == "mjpeg" else "yuv420p"
        self._stream.bit_rate = int(min(_BITS * width * height * self._rate, 1 << 30))
        self._stream.codec_context.time_base = 1 / rate

    def _mux(self, frame: Any) -> None:
        """EdgekitError where the encoder or the disk refuses."""
        try:
            self._container.mux(self._stream.encode(frame))
        except self._av.FFmpegError as error:
            raise self._refused(error) from error

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        problem = None
        try:
            self._finish(kind is None or isinstance(error, EndsEarly))
        except EdgekitError as refused:
            problem = refused
        if isinstance(error, EndsEarly) and self._last is not None:
            kind = error = trace = None
        if kind is None and problem:
            kind, error = EdgekitError, problem
        self._part.__exit__(kind, error, trace)
        if error is problem and problem:
            raise problem

    def _finish(self, good: bool) -> None:
        """Write what is still to be written. EdgekitError where that is refused, and where there is no picture."""
        if good and self._last is None:
            raise EdgekitError(
                "there was no frame to write", where=str(self._path), fix="give an input that has frames"
            )
        try:
            if good:
                self._show(self._written + self._waits)
                self._mux(None)
            if self._container is not None:
                self._container.close()
        except self._av.FFmpegError as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> EdgekitError:
        free = shutil.disk_usage(self._file.parent).free
        return EdgekitError(
            f"the film was not written whole: {first_line(error)}; the disk may be full, {free / 1e6:,.0f} MB are free",
            where=str(self._path),
            fix="free some space there, or name another place or kind of file to write to",
        )
