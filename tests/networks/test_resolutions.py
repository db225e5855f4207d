"""Maps of several resolutions lie over each other, whatever the frame's size."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from edgekit.networks import FAMILIES
from edgekit.networks.resolutions import enlarged, over_frame

SHAPES = {"lite": {"width": 16, "stages": 4}, "repseg": {"width": 16}, "timm": {"width": 8}}
ALLOWED = {"lite": 0.005, "repseg": 0.005, "timm": 0.005}


def ramp(pixels: int, stride: int) -> torch.Tensor:
    """What a map of this stride holds where every pixel says where its middle lies, in pixels of the frame."""
    return (torch.arange(pixels, dtype=torch.float64) + 0.5) * stride


def over(axis: torch.Tensor, other: int, down: bool) -> torch.Tensor:
    """A map (1, 1, H, W) that changes along one axis alone."""
    grid = axis[:, None].expand(-1, other) if down else axis[None].expand(other, -1)
    return grid[None, None].clone()


@given(st.integers(5, 90), st.sampled_from([2, 4]), st.booleans())
def test_an_enlarged_map_says_the_place_of_every_pixel(side, factor, down):
    coarse = over(ramp(math.ceil(side / factor), factor), 3, down)
    other = 3 * factor - 1
    got = enlarged(coarse, factor, (side, other) if down else (other, side))[0, 0]
    line = got[:, 0] if down else got[0]
    inner = slice(factor // 2, side - factor)  # bilinear interpolation repeats the border
    np.testing.assert_allclose(line[inner], ramp(side, 1)[inner], atol=1e-9)


@given(st.integers(40, 200), st.sampled_from([1, 2, 4, 8]), st.floats(0.3, 4.0), st.booleans())
def test_an_answer_says_the_place_of_every_pixel_of_the_frame(side, stride, scale, down):
    """The network sees ``side`` pixels of a frame of another size, at which every pixel then finds its own place."""
    frame = max(40, round(side / scale))
    raw = over(ramp(math.ceil(side / stride), stride), 2, down)
    seen, size = ((side, 2 * stride), (frame, 5)) if down else ((2 * stride, side), (5, frame))
    got = over_frame(raw, stride, seen, size)[0, 0]
    assert got.shape == size
    line = (got[:, 0] if down else got[0]) * frame / side
    border = math.ceil(stride * frame / side) + 1
    np.testing.assert_allclose(line[border:-border], ramp(frame, 1)[border:-border], atol=1e-4)


@pytest.mark.parametrize("more", [(1, 0), (12, 5), (16, 31)])
@pytest.mark.parametrize("family", sorted(SHAPES))
def test_what_lies_beside_a_frame_moves_nothing_in_it(family, more):
    """A frame of any size answers as the same frame with empty pixels below and to the right, far from these.

    With maps stretched to each other's size the difference is 1 to 5 % here for sides that no 16 divides.
    """
    if family == "timm" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    torch.manual_seed(0)
    network = FAMILIES[family](3, 4, **SHAPES[family]).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # an answer that depends on the frame, not on biases alone
            module.running_var.fill_(0.1)
    frame = torch.rand(1, 3, 320 + more[0], 352 + more[1], generator=torch.Generator().manual_seed(1)) - 0.5
    height, width = frame.shape[-2:]
    with torch.no_grad():
        answer = network(frame)
        expected = network(F.pad(frame, (0, -width % 32, 0, -height % 32)))
    assert list(answer.shape[-2:]) == [math.ceil(height / network.stride), math.ceil(width / network.stride)]
    side = 160 // network.stride
    difference = (answer - expected[..., : answer.shape[-2], : answer.shape[-1]])[..., :side, :side]
    usual = expected[..., :side, :side].std()
    assert usual > 1e-4
    assert difference.square().mean().sqrt() < ALLOWED[family] * usual
