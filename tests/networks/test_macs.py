"""Multiply-adds against formulas on paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.networks.macs import multiply_adds
from edgekit.networks.safeuav import SafeUAV


def test_a_convolution():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    assert multiply_adds(conv, torch.zeros(1, 3, 20, 31)) == 10 * 16 * 8 * 3 * 9
    assert multiply_adds(conv, torch.zeros(2, 3, 20, 31)) == 2 * 10 * 16 * 8 * 3 * 9


def test_groups_and_transposed_convolutions():
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    assert multiply_adds(depthwise, torch.zeros(1, 6, 5, 7)) == 5 * 7 * 6 * 9
    # each input pixel meets each weight once
    assert multiply_adds(nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1), torch.zeros(1, 4, 5, 7)) == 5 * 7 * 4 * 6 * 9


def test_a_matrix_product():
    assert multiply_adds(nn.Linear(5, 7, bias=False), torch.zeros(3, 5)) == 3 * 5 * 7


def test_safeuav_layer_by_layer():
    n, c, h, w = 4, 11, 16, 24
    full, half, quarter, eighth = (h * w // 4**i for i in range(4))
    by_hand = 9 * (
        full * (c * n + n * n) + half * n * n
        + half * (n * 2 * n + 4 * n * n) + quarter * 4 * n * n
        + quarter * (2 * n * 4 * n + 16 * n * n) + eighth * 16 * n * n
        + eighth * (4 * n * 8 * n + 5 * 64 * n * n)
        + eighth * 8 * n * 4 * n + quarter * 8 * n * 4 * n
        + quarter * 4 * n * 2 * n + half * 4 * n * n
        + half * n * n + full * 2 * n * n
    ) + full * n * c  # fmt: skip
    assert multiply_adds(SafeUAV(c, c, width=n), torch.zeros(1, c, h, w)) == by_hand


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_as_it_was(training):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train(training)
    before = network[1].running_mean.clone()
    assert multiply_adds(network, torch.ones(1, 3, 8, 8)) == 6 * 6 * 4 * 3 * 9
    assert network.training is training and torch.equal(network[1].running_mean, before)
