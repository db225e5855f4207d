"""The averaged weights, against the formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.training.ema import averaged


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_parameters_and_buffers_follow_the_formula(decay):
    live = network()
    ema = averaged(live, decay)
    expected = {k: v.double().clone() for k, v in live.state_dict().items()}
    for k in range(1, 30):
        with torch.no_grad():
            for tensor in live.state_dict().values():
                tensor.add_(1 if tensor.dtype == torch.int64 else torch.randn_like(tensor))
        ema.update_parameters(live)
        d = min(decay, (1 + k) / (10 + k))
        for name, value in live.state_dict().items():
            counts = value.dtype == torch.int64
            expected[name] = value.double() if counts else d * expected[name] + (1 - d) * value.double()
    for name, value in ema.module.state_dict().items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-5)
    assert ema.module.state_dict()["1.num_batches_tracked"] == 29


def test_the_average_is_apart_from_the_live_network_and_learns_nothing():
    live = network()
    ema = averaged(live, 0.9)
    assert not ema.module.training and live.training
    assert not any(p.requires_grad for p in ema.module.parameters())
    before = ema.module[0].weight.clone()
    with torch.no_grad():
        live[0].weight.add_(1)
    assert torch.equal(ema.module[0].weight, before)


def test_without_decay_the_average_is_the_live_network():
    live = network()
    ema = averaged(live, 0.0)
    for _ in range(3):
        with torch.no_grad():
            for tensor in live.state_dict().values():
                tensor.add_(1 if tensor.dtype == torch.int64 else torch.randn_like(tensor))
        ema.update_parameters(live)
    for name, value in live.state_dict().items():
        assert torch.equal(ema.module.state_dict()[name], value)


def test_a_restored_average_goes_on_averaging():
    live, other = network(), network()
    ema, restored = averaged(live, 0.9), averaged(other, 0.9)
    with torch.no_grad():
        live[0].weight.add_(1)
    ema.update_parameters(live)
    other.load_state_dict(live.state_dict())
    restored.load_state_dict(ema.state_dict())
    for one in (live, other):
        with torch.no_grad():
            one[0].weight.mul_(3)
    ema.update_parameters(live)
    restored.update_parameters(other)
    assert torch.equal(ema.module[0].weight, restored.module[0].weight)
