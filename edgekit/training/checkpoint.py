"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, sha256


def save(path: Path, state: dict[str, Any]) -> str:
    """Write tensors and plain values atomically; returns the file's SHA-256."""
    with atomic_write(path) as part:
        torch.save(state, part)
        return sha256(part)


def load(path: Path, digest: str | None = None) -> dict[str, Any]:
    """Read what ``save`` wrote, on the CPU. EdgekitError where it is missing or damaged; nothing in it is executed."""
    fix = "delete it and run again"
    if not path.exists():
        raise EdgekitError("the checkpoint is missing", where=str(path), fix="run again")
    if digest and digest != sha256(path):
        raise EdgekitError("the checkpoint does not match its checksum", where=str(path), fix=fix)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EdgekitError(f"the checkpoint cannot be read: {reason}", where=str(path), fix=fix) from error


class Latest:
    """The newest checkpoint of a folder. A kill at any moment leaves the previous one or the new one, never half.

    The state goes to a file of its own; then ``latest.json``, which names it and its SHA-256, is replaced in one
    rename; then the previous file is removed.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._pointer = folder / "latest.json"

    def save(self, step: int, state: dict[str, Any]) -> None:
        previous = self._read_pointer()
        name = f"step-{step}.pt"
        digest = save(self._folder / name, {"step": step, **state})
        with atomic_write(self._pointer) as part:
            part.write_text(json.dumps({"file": name, "sha256": digest, "step": step}))
        if previous and previous["file"] != name:
            (self._folder / previous["file"]).unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest state, None where there is none. EdgekitError where it is damaged."""
        pointer = self._read_pointer()
        return load(self._folder / pointer["file"], pointer["sha256"]) if pointer else None

    def clear(self) -> None:
        """Remove the checkpoint: what it led to is finished and stored elsewhere."""
        pointer = self._read_pointer()
        self._pointer.unlink(missing_ok=True)
        if pointer:
            (self._folder / pointer["file"]).unlink(missing_ok=True)

    def _read_pointer(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._pointer.read_text())
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise EdgekitError(
                "the checkpoint's pointer is not JSON", where=str(self._pointer), fix="delete it and run again"
            ) from error
