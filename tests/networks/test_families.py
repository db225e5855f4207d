"""Every row of FAMILIES keeps the promises of edgekit.networks; a new family is tested by its line in the table."""

from __future__ import annotations

import math

import pytest
import torch

from edgekit.networks import FAMILIES, parameter_count

WIDTH = 4  # small enough for a test; every family takes a width
SIZES = [(32, 48), (37, 53), (33, 64), (19, 23)]


def build(family: str, channels: tuple[int, int] = (3, 5), seed: int = 0):
    torch.manual_seed(seed)
    return FAMILIES[family](*channels, width=WIDTH)


def frames(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_output_size_is_the_input_over_the_stride_rounded_up(family, size):
    network = build(family).eval()
    x = frames(2, 3, *size)
    stride = network.stride
    small = tuple(math.ceil(s / stride) for s in size)
    with torch.no_grad():
        assert network(x).shape == (2, 5, *small)
        assert network.features(x).shape[0] == 2 and network.features(x).shape[2:] == small


def test_one_frame_does_not_see_the_others_of_its_batch(family):
    network = build(family).eval()
    x = frames(3, 3, 24, 40)
    with torch.no_grad():
        together = network(x)
        alone = torch.cat([network(one[None]) for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_gradients_reach_every_parameter(family):
    network = build(family).train()
    network(frames(2, 3, 48, 48)).square().mean().backward()
    dead = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a bias in front of a batch norm moves nothing: its gradient is rounding, which may be exactly 0
    before_norm = {
        f"{name}.0.bias"
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Sequential) and len(module) > 1 and isinstance(module[1], torch.nn.BatchNorm2d)
    }
    assert set(dead) <= before_norm
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_seed_decides_the_weights(family):
    one, same, other = build(family), build(family), build(family, seed=7)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_evaluation_is_deterministic_and_leaves_the_input_alone(family):
    network = build(family).eval()
    x = frames(1, 3, 21, 34)
    before = x.clone()
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
    assert torch.equal(x, before)


def test_channels_last_changes_the_layout_alone(family):
    network = build(family).eval()
    x = frames(1, 3, 24, 32)
    with torch.no_grad():
        usual = network(x)
        network.to(memory_format=torch.channels_last)
        other = network(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(usual, other, rtol=1e-4, atol=1e-5)


def test_wider_has_more_parameters_and_statistics_do_not_count(family):
    narrow, wide = (FAMILIES[family](3, 5, width=w) for w in (4, 8))
    assert parameter_count(narrow) < parameter_count(wide)
    assert parameter_count(narrow) < sum(v.numel() for v in narrow.state_dict().values())
    assert parameter_count(narrow) == sum(math.prod(p.shape) for p in narrow.parameters())
