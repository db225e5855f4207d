"""PyAV, imported where a film is opened or written: photographs and cameras work without."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError


def import_av() -> Any:
    """The module. EdgekitError where it is not installed."""
    try:
        import av
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise EdgekitError(
            "films need PyAV, which is not installed",
            where=f"this Python: {sys.executable}",
            fix="pip install av; photographs, folders and cameras work without",
        ) from None
    av.logging.set_level(av.logging.PANIC)  # what FFmpeg prints of a damaged film, an EdgekitError says better
    return av


def open_film(path: Path) -> Any | None:
    """A film's container, None where it does not open or has no video that can be decoded.

    As a file, whatever its name looks like, and without any other file that it names.
    """
    av = import_av()
    try:
        container = av.open(
            f"file:{path.absolute()}", metadata_errors="replace", options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, ValueError):
        return None
    video = container.streams.video
    if video and video[0].codec_context is not None:
        video[0].thread_type = "AUTO"
        return container
    container.close()
    return None


class Upright:
    """Decoded frames as (H, W, 3) uint8 rgb, turned as the film says, in the colours that it states.

    By FFmpeg's own filters, which know every pixel format, matrix and range.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._kind: tuple = ()

    def __call__(self, frame: Any) -> np.ndarray:
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        if kind != self._kind:
            self._graph, self._kind = _graph(frame), kind
        self._graph.push(frame)
        rgb = self._graph.pull().to_ndarray()
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _graph(frame: Any) -> Any:
    from av.filter import Graph

    graph = Graph()
    given = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    converted, taken = graph.add("format", "rgb24"), graph.add("buffersink")
    given.link_to(converted)
    converted.link_to(taken)
    graph.configure()
    return graph
