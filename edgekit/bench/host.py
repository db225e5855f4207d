"""A Predictor's three steps on the host's clock."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.runtime.given import frame_size
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.preprocess import Frames, resized


def host_steps(predictor: Predictor, frames: Frames, batch: int = 1) -> Callable[[], Mapping[str, float]]:
    """A function that infers the next ``batch`` of ``frames`` (n, H, W, C) and says how many ms each step took.

    The steps are those of ``Predictor.infer``; ``end_to_end`` is all of it, by the same clock readings.
    """
    firsts = range(0, len(next(iter(frames.values()))), batch)
    rounds = itertools.cycle(
        [
            {name: array.take(range(first, first + batch), axis=0, mode="wrap") for name, array in frames.items()}
            for first in firsts
        ]
    )
    size = frame_size(frames)
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


def resize_frames(frames: Frames, size: tuple[int, int] | None) -> Frames:
    """Frames (n, H, W, C) at ``size`` (H, W), as cameras of that resolution would give; None leaves them."""
    if size is None or frame_size(frames) == tuple(size):
        return frames
    return {name: np.stack([resized(frame, size) for frame in array]) for name, array in frames.items()}
