"""A folder to build in, beside the finished engines and on their disk, that does not outlive the build.

EdgekitError where another build is at work there, the disk is full or the folder cannot be written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edgekit.errors import EdgekitError
from edgekit.frames.files import writing

PREFIX = ".part-build-"
LOCK = ".part-lock"


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A new folder in ``target``; removed at the end, and by the next build where this one cannot (a power cut).

    One at a time: two builds on one board take each other's memory, and each falsifies what the other times.
    """
    with _alone(target):
        with writing(target):
            for left in target.glob(PREFIX + "*"):
                shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock of ``target``. The kernel lets go of it when the process ends, however it ends."""
    path = target / LOCK
    while True:
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
            lock = open(path, "a+")  # noqa: SIM115 - closed by the with below
        with lock:
            _take(lock, target)
            if not _is(lock, path):
                continue  # its last holder has removed it meanwhile: another process may hold the new one
            try:
                with writing(target):
                    lock.truncate(0)
                    print(os.getpid(), file=lock, flush=True)
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _take(lock: TextIO, target: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read(20).strip()
        raise EdgekitError(
            "another build of this bundle is running" + (f" (process {holder})" if holder else ""),
            where=str(target),
            fix="wait for it to end, or end it; then run the same command again",
        ) from None


def _is(lock: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def put(part: Path, final: Path) -> None:
    """Move a finished file to its place, whole or not at all."""
    with writing(final):
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, final)
