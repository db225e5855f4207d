"""OpenCV, imported where a camera is opened or motion is followed: the one module that knows it."""

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


def import_cv2(what: str = "cameras need") -> Any:
    """The module. EdgekitError where it is not installed, which says ``what`` does not work without."""
    # What libav and V4L print on stderr about a damaged file or a missing camera, an EdgekitError says better.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        raise EdgekitError(
            f"{what} OpenCV, which is not installed",
            where=f"this Python: {sys.executable}",
            fix="pip install opencv-python-headless; on a Jetson `sudo apt install python3-opencv`; "
            "photographs, folders and films work without",
        ) from None
    return cv2
