"""OpenCV, imported where a video or camera is opened: the one module that knows it. Photographs work without."""

from __future__ import annotations

import os
import sys
from typing import Any

from edgekit.errors import EdgekitError


def open_capture(what: str | int, api: int | None = None) -> Any | None:
    """An opened capture, None where it does not open."""
    cv2 = import_cv2()
    try:
        capture = cv2.VideoCapture(what) if api is None else cv2.VideoCapture(what, api)
    except cv2.error:
        return None
    return capture if capture.isOpened() else None


def open_film(path: str) -> Any | None:
    """A film's opened capture, None where it does not open.

    By FFmpeg or GStreamer. OpenCV's own readers are for AVIs, of which it prints what damaged ones hold, and for names
    that are patterns of other files' names.
    """
    cv2 = import_cv2()
    there = cv2.videoio_registry.getStreamBackends()
    readers = [api for api in (cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER) if api in there] or [cv2.CAP_ANY]
    return next((found for api in readers if (found := open_capture(path, api)) is not None), None)


def import_cv2() -> Any:
    """The module. EdgekitError where it is not installed."""
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
            where=f"this Python: {sys.executable}",
            fix="pip install opencv-python-headless; on a Jetson `sudo apt install python3-opencv`; "
            "photographs and folders work without",
        ) from None
    return cv2
