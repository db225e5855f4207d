"""What training calls for a network's output: the network itself, shared among processes, compiled."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from edgekit.errors import EdgekitError, first_line
from edgekit.training.distributed import world

# torch 2.13 gave it a new name
_NAMES = inspect.signature(DistributedDataParallel.__init__).parameters
_LEAVE_BUFFERS = {"forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False}


def callable_of(
    network: nn.Module, *, compiled: bool, key: str = "train"
) -> tuple[Callable, Callable[[], AbstractContextManager]]:
    """(what to call, a context in which backward passes only add up). Weights and checkpoints stay ``network``'s.

    With several processes a backward pass averages the gradients over them. Buffers are not synchronised here:
    RunningStatistics does that for batch norm.
    """
    call, unsynced = network, nullcontext
    if world().size > 1:
        # gradients in another memory order than the weights cost a copy and are otherwise harmless
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        with world().contact("sharing the network"):
            call = DistributedDataParallel(network, **_LEAVE_BUFFERS)
        unsynced = call.no_sync
    if compiled:
        with compiler(True, key):
            call = torch.compile(call)
    return call, unsynced


@contextmanager
def compiler(used: bool, key: str) -> Iterator[None]:
    """EdgekitError where torch.compile cannot work here, as without a C++ compiler."""
    try:
        with warnings.catch_warnings():
            if used:  # torch's compiler imports deprecated parts of torch
                warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            yield
    except Exception as error:
        if not used or not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise EdgekitError(
            f"torch.compile failed: {first_line(error)}",
            where=f"{key}.compile",
            fix=f"set {key}.compile: false, or install what torch.compile needs (on a CPU a C++ compiler such as g++)",
        ) from error
