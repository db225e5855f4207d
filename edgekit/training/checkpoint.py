"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write
from edgekit.networks.tensor_file import read_tensors

UNFINISHED = "checkpoint.pt"
"""The file of a training that is under way, in its stage's folder; it is removed when the stage is finished."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values atomically. EdgekitError where the disk is full."""
    buffer = io.BytesIO()  # torch's own writer reports a full disk as an internal error
    torch.save(state, buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_checkpoint(path: Path, *, most: int = limits.MOST_BYTES) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote, on the CPU; nothing in it is executed, and it takes the memory of its size.

    EdgekitError where the file is missing, damaged, also by a single changed byte of a tensor, or over ``most`` bytes.
    """
    fix = "delete it and run again"
    try:
        return read_tensors(path, what="the checkpoint", most=most, fix=fix)
    except FileNotFoundError:
        raise EdgekitError("the checkpoint is missing", where=str(path), fix="run again") from None


def check_state(state: Any, expected: Mapping[str, Tensor]) -> None:
    """ValueError for anything but tensors of these names, shapes and types, each with finite numbers of its own."""
    if not isinstance(state, dict) or set(state) != set(expected):
        raise ValueError("its tensors are not those of its network")
    for name, like in expected.items():
        tensor = state[name]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            raise ValueError(f"{name} is no tensor of numbers")
        if (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
            wanted = f"{tuple(like.shape)} {like.dtype}"
            raise ValueError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, expected {wanted}")
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in state.values()}
    if sum(stored.values()) < sum(like.nbytes for like in expected.values()):
        raise ValueError("its tensors are larger than what is stored of them")
    infinite = next((n for n, tensor in state.items() if not torch.isfinite(tensor).all()), None)
    if infinite is not None:
        raise ValueError(f"{infinite} holds numbers that are not finite")
