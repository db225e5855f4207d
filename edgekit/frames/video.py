"""Videos and cameras through OpenCV, the one module that knows it. Photographs need none of this."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write
from edgekit.frames.live import Newest
from edgekit.frames.shot import PHOTO_SUFFIXES, Photographs, Shot

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
_CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
_START = 4096  # bytes of a file; those of a video hold zeros
_STREAMS = ("rtsp", "rtmp", "http", "https", "udp", "tcp")


def open_input(text: str) -> Photographs | Video | Camera:
    """What ``text`` names, to iterate over ``Shot``s; ``close()`` it afterwards.

    A photograph, a folder of them, a video file, a camera's index (``0``) or device (``/dev/video0``), a stream's URL
    (``rtsp://…``), a Jetson's camera (``csi://0?width=1280&height=720&fps=30``), or a GStreamer pipeline that ends in
    an appsink. EdgekitError where it does not exist or cannot be opened.
    """
    scheme = urlsplit(text).scheme
    if text.isdecimal() or text.startswith("/dev/video") or scheme in _STREAMS:
        return Camera(text)
    if scheme == "csi" or " ! " in text:
        return Camera(text)
    path = Path(text)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in PHOTO_SUFFIXES):
        return Photographs(path)
    if path.is_file():
        return _video(path)
    fix = "give a photograph, a folder of them, a video, a camera's index such as 0, or a stream's URL"
    raise EdgekitError(f"there is no '{text}'", where="--input", fix=fix)


def _video(path: Path) -> Video:
    """A file that may be a video. EdgekitError that says so where its name is not one's either."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return Video(path)
    try:
        with open(path, "rb") as file:
            start = file.read(_START)
        if b"\0" in start:  # no text, of which FFmpeg would make a film of a terminal
            return Video(path)
    except OSError as error:
        fix = "make it readable, or copy it again"
        raise EdgekitError(f"the file cannot be read: {error.strerror}", where=str(path), fix=fix) from error
    except EdgekitError:
        pass  # said below, where its name is no video's either
    raise EdgekitError(
        f"'{path.name}' is neither a photograph nor a video that can be opened",
        where=str(path),
        fix=f"give a photograph ({', '.join(PHOTO_SUFFIXES)}), a folder of them, a video "
        f"({', '.join(VIDEO_SUFFIXES)}, or what else OpenCV reads), a camera's index or a stream's URL",
    )


class EndsEarly(EdgekitError):
    """A video has fewer frames than it states. Those before the end were good."""


class Video:
    """The frames of a video file. ``count`` and ``rate`` (frames per second) as the file states them, or None.

    EdgekitError where it cannot be opened; EndsEarly from the iteration where it ends long before its stated count.
    """

    live = False

    def __init__(self, path: Path):
        self._path = path
        self.files = [path]
        self.folder, self.unreadable = None, ()
        self._capture = _open(_cv2(), str(path))
        cv2 = _cv2()
        if self._capture is None:
            raise EdgekitError(
                "the video cannot be opened",
                where=str(path),
                fix="it may be truncated, damaged, or of a codec that OpenCV has not; try `ffmpeg -i FILE fixed.mp4`",
            )
        count, rate = self._capture.get(cv2.CAP_PROP_FRAME_COUNT), self._capture.get(cv2.CAP_PROP_FPS)
        self.count: int | None = int(count) if count > 0 else None
        self.rate: float | None = rate if 0 < rate < 1000 else None
        self.dropped = 0

    def __iter__(self) -> Iterator[Shot]:
        done = 0
        while True:
            good, image = self._capture.read()
            if not good:
                break
            yield Shot(image, "bgr", f"{done:06d}", time.perf_counter())
            done += 1
        # Containers state counts that are off by a few.
        if done == 0 or (self.count and done < 0.98 * self.count - 2):
            raise EndsEarly(
                f"the video ends after {done} of {self.count or 'unknown'} frames",
                where=str(self._path),
                fix="it is truncated or damaged: copy it again; results of the frames before its end are kept",
            )

    def close(self) -> None:
        self._capture.release()


class Camera:
    """A live camera or stream: iterating gives the newest frame each time, older ones are dropped.

    EdgekitError where it cannot be opened, or stops giving frames.
    """

    live = True
    files = unreadable = ()
    folder = None
    count: int | None = None

    def __init__(self, text: str):
        cv2 = _cv2()
        self._text = text
        pipeline = csi_pipeline(text) if text.startswith("csi:") else text if " ! " in text else None
        if pipeline:
            _require_gstreamer(cv2)
            self._capture = _open(cv2, pipeline, cv2.CAP_GSTREAMER)
        else:
            self._capture = _open(cv2, int(text) if text.isdecimal() else text)
        if self._capture is None:
            raise EdgekitError(
                f"the camera '{text}' cannot be opened",
                where="--input",
                fix="check that it is connected (`ls /dev/video*`), that no other program uses it, "
                "and that you may read it (group video)",
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where the driver allows: less to be stale
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate: float | None = rate if 0 < rate < 1000 else None
        self._newest = Newest(self._read)

    def _read(self) -> np.ndarray | None:
        good, image = self._capture.read()
        return image if good else None

    @property
    def dropped(self) -> int:
        return self._newest.dropped

    def __iter__(self) -> Iterator[Shot]:
        yield from self._newest
        if not self._newest.captured:
            raise EdgekitError(
                f"the camera '{self._text}' opens and gives no frame",
                where="--input",
                fix="check that no other program uses it; see what it can do with `v4l2-ctl --list-formats-ext`",
            )

    def close(self) -> None:
        self._newest.close()
        self._capture.release()


class VideoWriter:
    """Writes (H, W, 3) uint8 rgb pictures to a video file, which is there once the block ends.

    With an exception it is not, except where the frames ended early. EdgekitError at the end of the block where the
    file is not whole: encoders say nothing of a full disk.
    """

    def __init__(self, path: Path, rate: float):
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise EdgekitError(
                f"'{path.suffix}' is no video that can be written", where=str(path), fix=f"use {', '.join(_CODECS)}"
            )
        self._cv2, self._path, self._rate, self._codec = _cv2(), path, rate, codec
        self._part = atomic_write(path)
        self._writer: Any = None
        self._written = 0
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> VideoWriter:
        self._file = self._part.__enter__()
        return self

    def write(self, picture: np.ndarray) -> None:
        """EdgekitError where the encoder is missing, or the pictures' size changes."""
        size = (picture.shape[1], picture.shape[0])
        if self._writer is None:
            self._size = size
            self._writer = self._cv2.VideoWriter(
                str(self._file), self._cv2.VideoWriter_fourcc(*self._codec), self._rate, size
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
            return EdgekitError("there was no frame to write", where=str(self._path))
        found = _readable(self._cv2, self._file, self._written)
        if found >= self._written:
            return None
        free = shutil.disk_usage(self._file.parent).free
        return EdgekitError(
            f"the video was not written whole: {found} of {self._written} frames can be read back; "
            f"the disk may be full ({free / 1e6:,.0f} MB are free)",
            where=str(self._path),
            fix="free some space there, or name another place to write to",
        )


def _readable(cv2: Any, file: Path, expected: int) -> int:
    """How many frames of a video can be read; all those expected if the last of them can."""
    capture = _open(cv2, str(file))
    if capture is None:
        return 0
    try:
        # The count that a truncated file states may be right, or none: both say nothing alone.
        states_all = capture.get(cv2.CAP_PROP_FRAME_COUNT) >= expected
        if states_all and capture.set(cv2.CAP_PROP_POS_FRAMES, expected - 1) and capture.read()[0]:
            return expected
    finally:
        capture.release()
    capture, found = _open(cv2, str(file)), 0
    while capture is not None and capture.grab():
        found += 1
    return found


def csi_pipeline(text: str) -> str:
    """The GStreamer pipeline of a Jetson's camera, ``csi://<sensor>?width=…&height=…&fps=…``."""
    parts = urlsplit(text)
    asked = {"width": 1920, "height": 1080, "fps": 30}
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    unknown = sorted(set(query) - set(asked))
    wrong = [name for name, value in query.items() if not re.fullmatch("[1-9][0-9]{0,4}", value)]
    if unknown or wrong or not re.fullmatch("[0-9]", parts.netloc) or parts.path not in ("", "/"):
        raise EdgekitError(
            f"'{text}' is no camera", where="--input", fix="write csi://0, or csi://0?width=1280&height=720&fps=60"
        )
    asked |= {name: int(value) for name, value in query.items()}
    return (
        f"nvarguscamerasrc sensor-id={parts.netloc} ! "
        f"video/x-raw(memory:NVMM),width={asked['width']},height={asked['height']},framerate={asked['fps']}/1 ! "
        "nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    )


def _require_gstreamer(cv2: Any) -> None:
    """EdgekitError where OpenCV was built without GStreamer, as PyPI's is."""
    if not re.search(r"GStreamer:\s*YES", cv2.getBuildInformation()):
        raise EdgekitError(
            f"this OpenCV ({cv2.__version__}, {Path(cv2.__file__).parent}) was built without GStreamer",
            where="--input",
            fix="use JetPack's own: a virtual environment with --system-site-packages, `pip uninstall "
            "opencv-python opencv-python-headless` in it, and `sudo apt install python3-opencv`",
        )


def _open(cv2: Any, what: str | int, api: int | None = None) -> Any | None:
    """An opened capture, None where it does not open."""
    try:
        capture = cv2.VideoCapture(what) if api is None else cv2.VideoCapture(what, api)
    except cv2.error:
        return None
    return capture if capture.isOpened() else None


def _cv2() -> Any:
    # What libav and V4L print on stderr about a damaged file or a missing camera, an EdgekitError says better.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        raise EdgekitError(
            "videos and cameras need OpenCV, which is not installed",
            fix="pip install opencv-python-headless; on a Jetson `sudo apt install python3-opencv`; "
            "photographs and folders work without",
        ) from None
    return cv2
