"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, sha256, write_text


def save(path: Path, state: dict[str, Any]) -> str:
    """Write tensors and plain values atomically; returns the file's SHA-256. EdgekitError where the disk is full."""
    buffer = io.BytesIO()  # torch's own writer tells a full disk as an internal error, and would be hashed as it lies
    torch.save(state, buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getbuffer())
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def load(path: Path, digest: str | None = None) -> dict[str, Any]:
    """Read what ``save`` wrote, on the CPU. EdgekitError where it is missing or damaged; nothing in it is executed."""
    fix = "delete it and run again"
    if not path.exists():
        raise EdgekitError("the checkpoint is missing", where=str(path), fix="run again")
    if digest and digest != sha256(path):
        raise EdgekitError("the checkpoint does not match its checksum", where=str(path), fix=fix)
    try:
        _check_whole(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many types: UnpicklingError, BadZipFile, zlib.error, EOFError, RuntimeError, …
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EdgekitError(f"the checkpoint cannot be read: {reason}", where=str(path), fix=fix) from error


def _check_whole(path: Path) -> None:
    """BadZipFile where a byte of a tensor changed: torch writes checksums into the file and does not look at them."""
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} does not match its checksum")


class Latest:
    """The newest checkpoint of a folder. A kill at any moment leaves the previous one or the new one, never half.

    The state goes to a file of its own; then ``latest.json``, which names it and its SHA-256, is replaced in one
    rename; then older files are removed, also those that a kill has orphaned.
    """

    def __init__(self, folder: Path):
        self.folder = self._folder = folder
        self._pointer = folder / "latest.json"

    def save(self, step: int, state: dict[str, Any]) -> None:
        name = f"step-{step}.pt"
        digest = save(self._folder / name, {"step": step, **state})
        write_text(self._pointer, json.dumps({"file": name, "sha256": digest, "step": step}))
        self._remove_files(but=name)

    def load(self) -> dict[str, Any] | None:
        """The newest state, None where there is none. EdgekitError where it is damaged."""
        pointer = self._read_pointer()
        return load(self._folder / pointer["file"], pointer["sha256"]) if pointer else None

    def clear(self) -> None:
        """Remove the checkpoint: what it led to is finished and stored elsewhere."""
        self._pointer.unlink(missing_ok=True)
        self._remove_files()

    def _remove_files(self, but: str | None = None) -> None:
        for path in self._folder.glob("step-*.pt"):
            if path.name != but:
                path.unlink(missing_ok=True)

    def _read_pointer(self) -> dict[str, Any] | None:
        try:
            pointer = json.loads(self._pointer.read_text())
            return {"file": pointer["file"], "sha256": pointer["sha256"]}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise EdgekitError(
                "the checkpoint's pointer is damaged", where=str(self._pointer), fix="delete it and run again"
            ) from error
