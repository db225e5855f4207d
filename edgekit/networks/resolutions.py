"""Maps of one network at several resolutions, laid over each other and over the frame without a shift.

A convolution of stride 2 makes ⌈n/2⌉ pixels of n, and pixel 0 stays where it was: where n is odd, the coarse map
reaches beyond the finer one. Stretching it to the finer one's size would move all it holds towards the upper left
corner, the more the farther from it (6 rows at 1/32 of a frame of 180 rows cover 192). So it is enlarged by the exact
factor, and what lies beyond is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor


def enlarged(coarse: Tensor, factor: int | Fraction, size: Sequence[int]) -> Tensor:
    """A map (N, C, h, w) at ``factor`` times its resolution, cut to ``size``: (N, C, *size), bilinear."""
    whole = [int(factor * side) for side in coarse.shape[-2:]]
    out = F.interpolate(coarse, size=whole, mode="bilinear", align_corners=False)
    return out if whole == list(size) else out[..., : size[0], : size[1]]


def over_frame(raw: Tensor, stride: int, seen: Sequence[int], size: Sequence[int]) -> Tensor:
    """What a network of this ``stride`` answers (N, C, h, w) to a frame of ``seen`` (H, W) pixels, at any ``size``.

    (N, C, *size), bilinear. ``size`` is of the whole frame: what reaches beyond the frame is cut.
    """
    if all(stride * side == s for side, s in zip(raw.shape[-2:], seen, strict=True)):
        return F.interpolate(raw, size=list(size), mode="bilinear", align_corners=False)
    rows, columns = (
        (torch.arange(t, device=raw.device, dtype=raw.dtype) + 0.5) * (2 * s / (t * stride * side)) - 1
        for t, s, side in zip(size, seen, raw.shape[-2:], strict=True)
    )
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1)  # (*size, 2), -1 to 1 over the map
    grid = grid.expand(raw.shape[0], -1, -1, -1)
    return F.grid_sample(raw, grid, mode="bilinear", padding_mode="border", align_corners=False)
