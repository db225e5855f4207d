"""Batch norm's running statistics where a step takes its batch in parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningStatistics:
    """Every micro-batch of a step starts from the same running mean and variance; the step ends with their average.

    So they do not depend on which process took which micro-batch, nor on the order.
    """

    def __init__(self, network: nn.Module):
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        norms = [m for m in norms if m.running_mean is not None]
        self._values = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
        self._counts = [norm.num_batches_tracked for norm in norms]

    @torch.no_grad()
    def begin(self) -> None:
        """Before the first micro-batch of a step."""
        self._before = [value.clone() for value in self._values]
        self._sums = [torch.zeros_like(value) for value in self._values]

    @torch.no_grad()
    def take(self) -> None:
        """After each micro-batch's backward pass."""
        for total, value, before in zip(self._sums, self._values, self._before, strict=True):
            total += value
            value.copy_(before)
        for count in self._counts:
            count -= 1

    def sums(self) -> Tensor:
        """(K,) the sums over this process's micro-batches, to be summed over processes."""
        return torch.cat([total.flatten() for total in self._sums]) if self._sums else torch.zeros(0)

    @torch.no_grad()
    def finish(self, sums: Tensor, parts: int) -> None:
        """After the last: ``sums`` over all processes, of ``parts`` micro-batches."""
        sizes = [value.numel() for value in self._values]
        for value, total in zip(self._values, sums.split(sizes), strict=True):
            value.copy_(total.view_as(value) / parts)
        for count in self._counts:
            count += 1
