"""From what the user names to a source of frames."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from edgekit.errors import EdgekitError
from edgekit.frames.camera import STREAMS, Camera
from edgekit.frames.images import PHOTO_SUFFIXES
from edgekit.frames.source import FrameSource, Photographs
from edgekit.frames.video import VIDEO_SUFFIXES, CannotOpen, Video


def open_input(text: str) -> FrameSource:
    """What ``text`` names, to iterate over ``CapturedFrame``s; ``close()`` it afterwards.

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
    if not _exists(path) and (urlsplit(text).scheme in (*STREAMS, "csi") or " ! " in text):
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
    try:
        return Video(path)
    except CannotOpen:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise
    raise EdgekitError(
        f"'{path.name}' is neither a photograph nor a video that can be opened",
        where=str(path),
        fix=f"give a photograph ({', '.join(PHOTO_SUFFIXES)}), a folder of them, a video "
        f"({', '.join(VIDEO_SUFFIXES)}, or what else FFmpeg reads), a camera's index or a stream's URL",
    )
