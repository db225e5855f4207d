"""Folders and files that one process at a time may write."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.frames.files import writing
from edgekit.frames.unfinished import remove_abandoned

LOCK = ".lock"
_AGAIN = "wait for it to end, or end it; then run the same command again"


@contextmanager
def locked(folder: Path, taken: str, *, fix: str = _AGAIN, patience: float = 0.0) -> Iterator[None]:
    """Hold a folder, made where it is missing; what killed holders left half-written is removed.

    The kernel lets go of the lock when its holder dies, however it dies. EdgekitError saying ``taken`` where another
    process still holds it after ``patience`` seconds, or where the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # not inherited by the processes that are started meanwhile, which may outlive this one
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not take_lock(handle, patience):
            holder = os.pread(handle, 100, 0).decode(errors="replace").strip()
            raise EdgekitError(f"{taken} ({holder})" if holder else taken, where=str(folder), fix=fix)
        with writing(folder):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
        remove_abandoned(folder, alone=True)
        yield
    finally:
        os.close(handle)


def take_lock(handle: int, patience: float = 0.0) -> bool:
    """Whether the lock of an open file could be taken within ``patience`` seconds; closing the file lets go of it."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
