"""A Predictor's three steps on the host's clock."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from edgekit.runtime.predictor import Predictor


def host_steps(predictor: Predictor, frames: np.ndarray, batch: int = 1) -> Callable[[], Mapping[str, float]]:
    """A function that infers the next ``batch`` of ``frames`` (n, H, W, 3) uint8 and says how many ms each step took.

    The steps are those of ``Predictor.infer``; ``end_to_end`` is all of it, by the same clock readings.
    """
    rounds = itertools.cycle([_take(frames, first, batch) for first in range(0, len(frames), batch)])
    size = frames.shape[1:3]
    clock = time.perf_counter_ns

    def once() -> Mapping[str, float]:
        given = next(rounds)
        began = clock()
        feed = predictor.prepare(given)
        prepared = clock()
        raw = predictor.graph(feed)
        computed = clock()
        predictor.finish(raw, size)
        ended = clock()
        return {
            "end_to_end": (ended - began) / 1e6,
            "prepare": (prepared - began) / 1e6,
            "graph": (computed - prepared) / 1e6,
            "finish": (ended - computed) / 1e6,
        }

    return once


def resized(frames: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 at ``size`` (H, W), as a camera of that resolution would give; None leaves them."""
    if size is None or frames.shape[1:3] == tuple(size):
        return frames
    height, width = size
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR)) for f in frames])


def _take(frames: np.ndarray, first: int, count: int) -> np.ndarray:
    """``count`` frames from ``first`` on, from the start again where they end; a view where it can be one."""
    if first + count <= len(frames):
        return frames[first : first + count]
    return frames[np.arange(first, first + count) % len(frames)]
