"""A running average of the weights, which is what a run keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of a network's parameters and buffers; ``decay`` 0 is the network as it is now.

    The decay at update k, counted from 1, is min(decay, (1 + k) / (10 + k)), so that early weights do not linger.
    The average, ``module``, is in evaluation mode and has no gradients.
    """

    def update(means: list[Tensor], values: list[Tensor], count: Tensor) -> None:
        if means[0].is_floating_point():
            torch._foreach_lerp_(means, values, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
        else:  # batch norm's counters
            torch._foreach_copy_(means, values)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    average.n_averaged += 1  # the network as it begins is part of the average
    return average.eval().requires_grad_(False)
