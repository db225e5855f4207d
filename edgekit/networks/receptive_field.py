"""How far a network sees: which input pixels a pixel of its output depends on."""

from __future__ import annotations

import torch
from torch import nn

_LENGTHS = (512, 1024, 2048)
_BREADTH = 64  # what lies across is of no matter, as kernels are rectangles
_PERIOD = 16  # sizes are multiples of it, and so is the product of a network's strides


@torch.no_grad()
def receptive_field(network: nn.Module, stride: int, channels: int = 3) -> int | None:
    """The side in input pixels of the square that a pixel of the output depends on, the largest of any pixel.

    The square is that of the output pixel itself, ``stride`` wide, and equally many pixels beyond each side. None
    where it is over some 2,000 pixels, as of networks that look at a mean of the whole frame.
    One input pixel is NaN, and every output that depends on it is, whatever the weights.
    """
    was_training = network.training
    network.eval()
    try:
        reaches = [_reach(network, stride, channels, axis, phase) for axis in (0, 1) for phase in range(_PERIOD)]
    finally:
        network.train(was_training)
    return None if None in reaches else stride + 2 * max(reaches)


def _reach(network: nn.Module, stride: int, channels: int, axis: int, phase: int) -> int | None:
    """Pixels beyond its own that an output depends on along an axis, of a NaN at ``phase`` of the strides."""
    for length in _LENGTHS:
        place, across = length // 2 + phase, _BREADTH // 2 + phase
        frame = torch.zeros(1, channels, length, _BREADTH)
        frame[..., place, across] = torch.nan
        found = network(frame if axis == 0 else frame.mT)
        maps = torch.cat(list(found.values()), dim=1) if isinstance(found, dict) else found
        touched = maps[0].isnan().any(dim=0).any(dim=1 - axis).nonzero()[:, 0].tolist()
        first, last = touched[0] * stride, touched[-1] * stride
        if first > 0 and last < length - stride:
            return max(last - place, place - first - stride + 1)
    return None
