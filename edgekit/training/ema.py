"""A running average of the weights, which is what a run keeps."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA:
    """Exponential moving average of parameters and buffers, with a short memory at first.

    The decay at update k is min(decay, (1 + k) / (10 + k)), so that early weights do not linger. ``decay`` 0: no
    averaging, ``network`` is the live one.
    """

    def __init__(self, live: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(live).eval().requires_grad_(False) if decay else live
        # listed once: state_dict() of a whole network at every step is slow
        pairs = list(zip(_tensors(self.network), _tensors(live), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        if not self.decay:
            return
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        means, values = [m for m, _ in self._floats], [v.detach() for _, v in self._floats]
        torch._foreach_lerp_(means, values, 1 - decay)
        for mean, value in self._others:
            mean.copy_(value)


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]
