"""Which type a forward pass runs in."""

from __future__ import annotations

import pytest
import torch

from edgekit.training import precision
from edgekit.training.precision import autocast, depthwise_in_fp32, resolve


@pytest.fixture(autouse=True)
def fresh():
    resolve.cache_clear()
    yield
    resolve.cache_clear()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_named_precision_is_taken_at_its_word(name, dtype, device):
    assert resolve(name, device) == dtype


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bf16_where_it_is_native(monkeypatch, native):
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: native)
    assert resolve("auto", "cpu") == (torch.bfloat16 if native else torch.float32)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert resolve("auto", "cuda") == (torch.bfloat16 if native else torch.float16)


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_runs_convolutions_in_it(name, dtype):
    layer = torch.nn.Conv2d(1, 1, 1)
    with autocast(name, "cpu"):
        assert layer(torch.zeros(1, 1, 2, 2)).dtype == dtype


def test_the_cpu_s_own_answer_is_a_bool():
    assert isinstance(precision._cpu_has_bf16(), bool)


@pytest.mark.parametrize("in_use", ["bf16", "fp32"])
def test_depthwise_convolutions_alone_leave_mixed_precision_while_a_cpu_trains(in_use):
    depthwise, plain = torch.nn.Conv2d(4, 4, 3, groups=4), torch.nn.Conv2d(4, 4, 1)
    grouped = torch.nn.Conv2d(4, 4, 3, groups=2)
    network = torch.nn.Sequential(plain, depthwise, grouped)
    x, types = torch.randn(1, 4, 8, 8), {}
    for layer in network:
        layer.register_forward_hook(lambda layer, _, y: types.__setitem__(layer, y.dtype))
    mixed = {"bf16": torch.bfloat16, "fp32": torch.float32}[in_use]
    with depthwise_in_fp32(network, in_use, "cpu"), autocast(in_use, "cpu"):
        network(x)
    assert types == {plain: mixed, depthwise: torch.float32, grouped: mixed}
    with autocast(in_use, "cpu"):
        network(x)
    assert set(types.values()) == {mixed} and "forward" not in vars(depthwise)
    with depthwise_in_fp32(network, in_use, "cuda"):
        assert "forward" not in vars(depthwise)  # a GPU is at its fastest as it is


def test_the_convolution_and_its_gradient_are_those_of_fp32():
    depthwise, x = torch.nn.Conv2d(4, 4, 3, groups=4), torch.randn(2, 4, 8, 8)
    expected = torch.autograd.grad(depthwise(x).square().sum(), depthwise.weight)[0]
    network = torch.nn.Sequential(depthwise)
    with depthwise_in_fp32(network, "bf16", "cpu"):
        with autocast("bf16", "cpu"):
            out = network(x)
        found = torch.autograd.grad(out.square().sum(), depthwise.weight)[0]
    assert torch.equal(found, expected)
