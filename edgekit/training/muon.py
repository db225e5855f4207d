"""Muon: steps of equal length in every direction of a kernel; AdamW for all other parameters."""

from __future__ import annotations

import torch
from torch import Tensor

MOMENTUM = 0.95
_COEFFICIENTS, _ITERATIONS = (3.4445, -4.7750, 2.0315), 5  # of the quintic iteration, from the method's authors
_EPSILON = 1e-7


class Muon(torch.optim.AdamW):
    """AdamW; kernels in groups with ``orthogonal`` move by the orthogonal part of their momentum instead.

    A convolution's kernel is a matrix (c_out, c_in·k·k). Its momentum U·S·Vᵀ is replaced by about U·Vᵀ, so that rare
    directions learn as fast as common ones (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), scaled to
    the length that AdamW's steps have, so that one learning rate serves both (Liu et al. 2025, arXiv 2502.16982).
    """

    @torch.no_grad()
    def step(self, closure=None):
        everything = self.param_groups
        self.param_groups = [group for group in everything if not group["orthogonal"]]
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = everything
        for group in everything:
            if group["orthogonal"]:
                self._orthogonal_step(group)
        return loss

    def _orthogonal_step(self, group: dict) -> None:
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
        for shape, parameters in by_shape.items():  # kernels of one shape in one product
            updates = []
            for parameter in parameters:
                state = self.state[parameter]
                if not state:  # AdamW expects a step
                    state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(parameter)}
                state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                updates.append(parameter.grad.lerp(state["momentum"], MOMENTUM).reshape(shape[0], -1))  # Nesterov's
            turned = orthogonal(torch.stack(updates))
            length = 0.2 * max(turned.shape[-2:]) ** 0.5
            for parameter, update in zip(parameters, turned, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.reshape(shape), alpha=-group["lr"] * length)


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, rows, columns) → about U·Vᵀ of each one's U·S·Vᵀ: all singular values end between 0.7 and 1.2.

    Five steps of an odd polynomial that draws every singular value towards 1 (Newton-Schulz), without a decomposition.
    """
    a, b, c = _COEFFICIENTS
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + _EPSILON)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
