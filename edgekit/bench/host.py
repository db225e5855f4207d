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
    firsts = range(0, len(frames), batch)
    rounds = itertools.cycle([frames.take(range(first, first + batch), axis=0, mode="wrap") for first in firsts])
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


def resize_frames(frames: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 at ``size`` (H, W), as a camera of that resolution would give; None leaves them."""
    if size is None or frames.shape[1:3] == tuple(size):
        return frames
    height, width = size
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR)) for f in frames])
