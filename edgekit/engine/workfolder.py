"""A folder to build in, beside the finished engines and on their disk, that does not outlive the build.

EdgekitError where the disk is full or the folder cannot be written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.frames.files import writing

PREFIX = ".part-build-"


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A new folder in ``target``; removed at the end, and by the next build where this one cannot (a power cut)."""
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target))
    # Held while this process lives, so that others know the folder is in use.
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Remove what builds have left that no longer run."""
    for folder in target.glob(PREFIX + "*"):
        try:
            with open(folder / "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, or just being made


def put(part: Path, final: Path) -> None:
    """Move a finished file to its place, whole or not at all."""
    with writing(final):
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, final)
