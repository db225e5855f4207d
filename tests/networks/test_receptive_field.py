"""How far a network sees, against formulas and against outputs that move when one input pixel does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.networks import FAMILIES
from edgekit.networks.receptive_field import receptive_field


class Mean(nn.Module):
    """Looks at the whole frame."""

    def forward(self, x):
        return x + x.mean(dim=(2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("network", "stride", "expected"),
    [
        (nn.Conv2d(3, 2, 1), 1, 1),
        (nn.Conv2d(3, 2, 3, padding=1), 1, 3),
        (nn.Conv2d(3, 2, (1, 7), padding=(0, 3)), 1, 7),
        (nn.Conv2d(3, 2, 3, padding=4, dilation=4), 1, 9),
        (nn.AvgPool2d(4, 4), 4, 4),
        # 3 + 2·(3 − 1) = 7 pixels that begin 3 before the output's own four: 3 beyond it before, none behind
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, 2, padding=1)), 4, 4 + 2 * 3),
        (Mean(), 1, None),
    ],
)
def test_by_formula(network, stride, expected):
    assert receptive_field(network, stride) == expected


@pytest.mark.parametrize("shape", [{"blocks": (0, 0), "dilations": (1,)}, {}])
def test_it_is_what_moves_where_no_weight_cancels_another(shape):
    """With weights above 0 and nothing that an activation cuts off, whatever depends on a pixel moves with it."""
    network = FAMILIES["repseg"](3, 1, width=16, **shape).eval().double()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1e3)
    found, size = receptive_field(network.float(), network.stride), 416
    network.double()
    reach = 0
    with torch.no_grad():
        still = network(torch.ones(1, 3, size, 48, dtype=torch.double))
        for phase in range(16):
            frame = torch.ones(1, 3, size, 48, dtype=torch.double)
            place = size // 2 + phase
            frame[..., place, 24] = 100.0
            rows = ((network(frame) - still)[0, 0] / still[0, 0]).abs().amax(dim=1).nonzero()[:, 0] * network.stride
            reach = max(reach, int(rows.max()) - place, place - int(rows.min()) - network.stride + 1)
    # a kernel's outermost weight of an interpolation may be 0, of which NaN makes NaN all the same
    assert 0 <= found - (network.stride + 2 * reach) <= 32


def test_training_mode_is_kept():
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.BatchNorm2d(2)).train()
    assert receptive_field(network, 1) == 3 and network.training and network[1].training
