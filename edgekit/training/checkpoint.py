"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import atomic_write

UNFINISHED = "checkpoint.pt"
"""The file of a training that is under way, in its stage's folder; it is removed when the stage is finished."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values atomically. EdgekitError where the disk is full."""
    buffer = io.BytesIO()  # torch's own writer reports a full disk as an internal error
    torch.save(state, buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote, on the CPU; nothing in it is executed.

    EdgekitError where the file is missing or damaged, also by a single changed byte of a tensor.
    """
    if not path.exists():
        raise EdgekitError("the checkpoint is missing", where=str(path), fix="run again")
    try:
        with zipfile.ZipFile(path) as file:  # torch writes checksums into the file and does not look at them
            damaged = file.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"{damaged} does not match its checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many types: UnpicklingError, BadZipFile, zlib.error, EOFError, RuntimeError, …
        fix = "delete it and run again"
        raise EdgekitError(f"the checkpoint cannot be read: {first_line(error)}", where=str(path), fix=fix) from error
