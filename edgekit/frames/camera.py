"""Live cameras, network streams and GStreamer pipelines through OpenCV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.live import Newest
from edgekit.frames.opencv import import_cv2, open_capture
from edgekit.frames.source import CapturedFrame, FrameSource

STREAMS = ("rtsp", "rtmp", "http", "https", "udp", "tcp")
"""Schemes of a stream's URL."""


class Camera(FrameSource):
    """A live camera or stream: iterating gives the newest frame each time, older ones are dropped.

    EdgekitError where it cannot be opened, or stops giving frames.
    """

    live = True

    def __init__(self, text: str):
        cv2 = import_cv2()
        self._text = text
        pipeline = csi_pipeline(text) if text.startswith("csi:") else text if " ! " in text else None
        if pipeline:
            _require_gstreamer(cv2)
            self._capture = open_capture(pipeline, cv2.CAP_GSTREAMER)
        else:
            self._capture = open_capture(int(text) if text.isdecimal() else text)
        if self._capture is None:
            raise EdgekitError(f"the {_described(text)} cannot be opened", where="--input", fix=_advice(text))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where the driver allows: less to be stale
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else None
        self._newest = Newest(self._read)

    def _read(self) -> np.ndarray | None:
        good, image = self._capture.read()
        return image if good else None

    @property
    def dropped(self) -> int:
        return self._newest.dropped

    def __iter__(self) -> Iterator[CapturedFrame]:
        yield from self._newest
        if not self._newest.captured:
            raise EdgekitError(
                f"the {_described(self._text)} opens and gives no frame", where="--input", fix=_advice(self._text)
            )

    def close(self) -> None:
        self._newest.close()
        self._capture.release()


def _described(text: str) -> str:
    kind = "stream" if urlsplit(text).scheme in STREAMS else "pipeline" if " ! " in text else "camera"
    return f"{kind} '{text}'"


def _advice(text: str) -> str:
    """What to check where a live source gives no frame."""
    if urlsplit(text).scheme in STREAMS:
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
