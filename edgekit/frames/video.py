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
_LOOKED_AT = 50  # frames at a film's beginning, to know how far apart they are
_STREAMS = ("rtsp", "rtmp", "http", "https", "udp", "tcp")


def open_input(text: str) -> Photographs | Video | Camera:
    """What ``text`` names, to iterate over ``Shot``s; ``close()`` it afterwards.

    A photograph, a folder of them, a video file, a camera's index (``0``) or device (``/dev/video0``), a stream's URL
    (``rtsp://…``), a Jetson's camera (``csi://0?width=1280&height=720&fps=30``), or a GStreamer pipeline that ends in
    an appsink. EdgekitError where it does not exist or cannot be opened.
    """
    path = Path(text)
    is_index = re.fullmatch("0|[1-9][0-9]?", text, re.ASCII) is not None  # 00 is no index, and may be a folder
    if is_index and _exists(path):
        what = f"'{text}' is a camera's index, and there is a file or folder of that name"
        raise EdgekitError(what, where="--input", fix=f"write /dev/video{text} for the camera, ./{text} for the other")
    if is_index or text.startswith("/dev/video"):
        return Camera(text)
    if not _exists(path) and (urlsplit(text).scheme in (*_STREAMS, "csi") or " ! " in text):
        return Camera(text)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in PHOTO_SUFFIXES):
        return Photographs(path)
    if path.is_file():
        return _video(path)
    fix = "give a photograph, a folder of them, a video, a camera's index such as 0, or a stream's URL"
    raise EdgekitError(f"there is no '{text}'", where="--input", fix=fix)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name can be, as pipelines are
        return False


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
    """A video ends before the time it states. The frames before the end were good."""


class Video:
    """The frames of a video file. ``count`` and ``seconds`` as the file states them, or None.

    Many containers state how long a film is and how many frames a second there may be, from which OpenCV makes a count;
    a film of irregular frames has fewer. So a film is whole where the time of its last frame says so, too.

    EdgekitError where it cannot be opened; EndsEarly from the iteration where it ends long before its stated end.
    """

    live = False

    def __init__(self, path: Path):
        self._path = path
        self.files = [path]
        self.folder, self.unreadable = None, ()
        self._capture = _open(_cv2(), str(path))
        if self._capture is None:
            raise EdgekitError(
                "the video cannot be opened",
                where=str(path),
                fix="it may be truncated, damaged, or of a codec that OpenCV has not; try `ffmpeg -i FILE fixed.mp4`",
            )
        cv2 = _cv2()
        count, rate = self._capture.get(cv2.CAP_PROP_FRAME_COUNT), self._capture.get(cv2.CAP_PROP_FPS)
        self.count: int | None = int(count) if count > 0 else None
        self.seconds: float | None = count / rate if count > 0 and rate > 0 else None
        self._stated_rate: float | None = rate if 0 < rate < 1000 else None
        self.dropped = 0

    @property
    def rate(self) -> float | None:
        """Frames per second: as stated, or where the first frames are nearer to each other, or farther, as they are."""
        cv2, times = _cv2(), []
        capture = _open(cv2, str(self._path))
        while capture is not None and len(times) < _LOOKED_AT and capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
        steps = np.diff(times)
        # A quarter of the frames or more are as near as this: gaps do not count, nor does a single pair.
        near = float(np.sort(steps)[len(steps) // 4]) if len(steps) else 0.0
        if not 1 / 240 < near < 10 or (self._stated_rate and abs(near * self._stated_rate - 1) < 0.1):
            return self._stated_rate
        return 1 / float(steps[(steps > 0.8 * near) & (steps < 1.2 * near)].mean())  # times are rounded, often to 1 ms

    def __iter__(self) -> Iterator[Shot]:
        cv2 = _cv2()
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
            yield Shot(image, "bgr", f"{done:06d}", time.perf_counter(), at if step > 0 or not done else None)
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


class Camera:
    """A live camera or stream: iterating gives the newest frame each time, older ones are dropped.

    EdgekitError where it cannot be opened, or stops giving frames.
    """

    live = True
    files = unreadable = ()
    folder = None
    count: int | None = None
    seconds: float | None = None

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
            raise EdgekitError(f"the {_called(text)} cannot be opened", where="--input", fix=_check(text))
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
                f"the {_called(self._text)} opens and gives no frame", where="--input", fix=_check(self._text)
            )

    def close(self) -> None:
        self._newest.close()
        self._capture.release()


def _called(text: str) -> str:
    kind = "stream" if urlsplit(text).scheme in _STREAMS else "pipeline" if " ! " in text else "camera"
    return f"{kind} '{text}'"


def _check(text: str) -> str:
    """What to look at where a live source gives nothing."""
    if urlsplit(text).scheme in _STREAMS:
        return f"check the address, its user and password, and that this machine reaches it: `ffprobe '{text}'`"
    if " ! " in text:
        return "try it outside edgekit, with fakesink for the appsink: `gst-launch-1.0 PIPELINE`"
    if text.startswith("csi:"):
        return (
            "check the cable and the sensor's number, or restart its service: `sudo systemctl restart nvargus-daemon`"
        )
    return (
        "check that it is connected (`ls /dev/video*`), that no other program uses it, and that you may read it "
        "(group video); see what it can do with `v4l2-ctl --list-formats-ext`"
    )


class VideoWriter:
    """Writes (H, W, 3) uint8 rgb pictures to a video file, which is there once the block ends.

    With an exception it is not, except where the frames ended early. EdgekitError at the end of the block where the
    file is not whole: encoders say nothing of a full disk. OpenCV writes even sides alone: an odd one becomes one pixel
    longer, with the last row or column twice.
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
