"""Quantization-aware fine-tuning: the weights learn to answer in integers as the float network does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor

from edgekit.quantize.differentiable import DifferentiableGraph
from edgekit.quantize.frames import MakeFrames
from edgekit.quantize.topology import named

RATE = 3e-3
"""Adam's largest step, as a share of each tensor's own mean absolute weight; it falls to 0 by a cosine."""

CROP = (256, 384)
"""Most of a frame that a step sees, from a place drawn anew: a step on large frames would take seconds."""


def finetuned(
    model: ModelProto,
    write: Callable[[ModelProto], ModelProto],
    frames: MakeFrames,
    steps: int,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> ModelProto:
    """The float graph with weights for which the graph that ``write`` makes answers most as the float graph does.

    No labels are needed: the loss is the squared difference of each output, in its own variances, on a crop of a frame
    per step, half of them mirrored. Placement, ranges of activations and rounding are those of the graph that is
    written; ranges do not change, and the graph takes frames of any size. ``progress(steps done)``.
    UnknownOperatorError where the graph has an operator that cannot be differentiated here.
    """
    model = named(model)
    exact = DifferentiableGraph(model, model).requires_grad_(False)
    network = DifferentiableGraph(model, write(model))
    groups = [{"params": [p], "share": RATE * float(p.detach().abs().mean())} for p in network.parameters()]
    optimiser = torch.optim.Adam(groups, lr=0.0)
    rng = np.random.default_rng(0)
    for step, frame in enumerate(itertools.islice(_endless(frames), steps)):
        x = torch.from_numpy(_crop(frame, rng))
        x = x.flip(-1) if rng.random() < 0.5 else x
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad()
        _difference(network(x), exact(x)).backward()
        optimiser.step()
        progress(step + 1)
    return network.trained(model)


def _crop(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At a multiple of 16, where coarse maps lie over fine ones as in the whole frame."""
    sides = zip(frame.shape[2:], CROP, strict=True)
    top, left = (16 * rng.integers(max(0, have - most) // 16 + 1) for have, most in sides)
    return np.ascontiguousarray(frame[:, :, top : top + CROP[0], left : left + CROP[1]])


def _difference(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    terms = [(found[name] - value).square().mean() / value.var().clamp_min(1e-12) for name, value in wanted.items()]
    return torch.stack(terms).sum()


def _endless(frames: MakeFrames) -> Iterator[np.ndarray]:
    while True:
        yield from frames()
