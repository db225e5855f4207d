"""The optimiser of a network: which of its parameters decay, which are orthogonalised, how fast each learns."""

from __future__ import annotations

import torch
from torch import nn

from edgekit.training.config import TrainConfig
from edgekit.training.muon import Muon


def optimiser_of(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over a network's parameters, or Muon for its kernels and AdamW for the rest, as the config says.

    Weight decay applies to kernels alone: decaying a batch norm's scale or a bias only moves the output. A parameter's
    ``rate_factor``, where its network sets one, multiplies the learning rate of its group.
    """
    muon = config.optimiser == "muon"
    chosen = {id(p) for p in _hidden_kernels(network)} if muon else set()
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        kind = (id(parameter) in chosen, parameter.ndim > 1, getattr(parameter, "rate_factor", 1.0))
        groups.setdefault(kind, []).append(parameter)
    listed = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "rate_factor": factor,
            "orthogonal": orthogonal,
        }
        for (orthogonal, decays, factor), parameters in groups.items()
    ]
    if muon:
        return Muon(listed, lr=config.learning_rate)
    on_gpu = any(p.is_cuda for p in network.parameters())
    return torch.optim.AdamW(listed, lr=config.learning_rate, fused=on_gpu)


def _hidden_kernels(network: nn.Module) -> list[nn.Parameter]:
    """The kernels of convolutions between hidden maps: not the last one, whose rows are classes and coordinates of
    different scale, and no depthwise ones, whose rows have nothing to be orthogonal to."""
    kernels = [p for p in network.parameters() if p.ndim == 4]
    return [p for p in kernels[:-1] if p.shape[1] > 1]
