"""Multiply-adds of a network, counted from the convolutions that really run."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def multiply_adds(network: nn.Module, example: Tensor) -> int:
    """Multiply-adds of one forward pass over ``example`` (convolutions and matrix products; half of torch's FLOPs)."""
    counter = FlopCounterMode(display=False)
    was_training = network.training
    network.eval()
    with counter:
        network(example)
    network.train(was_training)
    return counter.get_total_flops() // 2
