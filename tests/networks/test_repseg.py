"""RepSeg: the sum of branches, its single kernel and the fused convolution are one function."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.networks import parameter_count
from edgekit.networks.repseg import QARepBlock, RepSeg

BLOCKS = [
    {"c_in": 4, "c_out": 4},
    {"c_in": 3, "c_out": 6},
    {"c_in": 4, "c_out": 4, "stride": 2},
    {"c_in": 5, "c_out": 5, "dilation": 3},
    {"c_in": 2, "c_out": 4, "stride": 2, "dilation": 2},
]


def randomise_norms(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.3, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


def branches(block: QARepBlock, x: torch.Tensor) -> torch.Tensor:
    """3×3 + 1×1 + identity, each run by itself."""
    stride, dilation = block.conv3.stride[0], block.conv3.dilation[0]
    total = F.conv2d(x, block.conv3.weight, None, stride, dilation, dilation)
    total = total + F.conv2d(x[..., ::stride, ::stride], block.conv1.weight)
    same = block.conv3.in_channels == block.conv3.out_channels and stride == 1
    return total + x if same else total


@pytest.mark.parametrize("shape", BLOCKS, ids=str)
@pytest.mark.parametrize("size", [(9, 12), (8, 7)], ids=str)
def test_a_block_is_the_sum_of_its_branches_also_fused(shape, size):
    torch.manual_seed(0)
    block = QARepBlock(**shape).eval()
    randomise_norms(block)
    x = torch.randn(2, shape["c_in"], *size)
    with torch.no_grad():
        total = branches(block, x)
        one = F.conv2d(x, block.kernel(), None, block.conv3.stride, block.conv3.padding, block.conv3.dilation)
        torch.testing.assert_close(one, total, rtol=1e-5, atol=1e-5)  # to the border: assert_close skips nothing
        mean, var = block.norm.running_mean, block.norm.running_var
        expected = F.relu(F.batch_norm(total, mean, var, block.norm.weight, block.norm.bias, eps=block.norm.eps))
        torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(block.fused()(x), expected, rtol=1e-5, atol=1e-5)
    assert (expected > 0).float().mean() > 0.1


def test_the_branches_get_the_gradient_of_their_sum():
    torch.manual_seed(1)
    block, x = QARepBlock(3, 3), torch.randn(2, 3, 6, 6)
    weight = torch.randn(2, 3, 6, 6)
    (F.relu(block.norm(branches(block, x))) * weight).sum().backward()
    expected = {name: p.grad.clone() for name, p in block.named_parameters()}
    block.zero_grad()
    (block(x) * weight).sum().backward()
    for name, p in block.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(33, 47), (32, 64)], ids=str)
def test_the_fused_network_is_the_same_function(size):
    torch.manual_seed(2)
    network = RepSeg(3, 5, width=8, blocks=(1, 1), dilations=(2,)).eval()
    randomise_norms(network)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        before = network(x)
        trained = parameter_count(network)
        assert network.fuse() is network
        torch.testing.assert_close(network(x), before, rtol=1e-5, atol=1e-5)
    assert before.std() > 1e-3
    assert not any(isinstance(m, (QARepBlock, nn.BatchNorm2d)) for m in network.modules())
    assert parameter_count(network) < trained


def test_default_widths_are_multiples_of_16():
    network = RepSeg(3, 8)
    widths = {m.conv3.out_channels for m in network.modules() if isinstance(m, QARepBlock)}
    assert widths == {16, 32, 64, 96}
    assert parameter_count(network) <= 430_000
