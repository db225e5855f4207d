"""Folders ``.part-*`` for what is not finished: held while somebody works in one, removed when nobody does any more."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part-"
"""How their names begin."""
OLD = "old"
"""In such a folder: what was moved aside for a moment, under its own name in the folder above."""

_MADE = re.compile(re.escape(PART) + r"[a-z0-9_]+")  # as tempfile names them
_AT_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


@contextmanager
def part_folder(parent: str | os.PathLike) -> Iterator[Path]:
    """A new folder in ``parent`` that is held, as long as the block lasts, against ``remove_abandoned``.

    It is removed at the end of the block; after a kill, by the next ``remove_abandoned``.
    """
    folder, handle = _made(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def remove_abandoned(parent: str | os.PathLike, *, alone: bool = False) -> None:
    """Remove the ``.part-*`` folders in ``parent`` that nobody holds.

    ``alone``: the caller is the only writer, so subfolders are cleaned too; on a file system without folder locks
    nothing is removed otherwise. What was moved aside in one goes back to its name, where that is free.
    """
    with contextlib.suppress(OSError):
        found = Path(parent).rglob(PART + "*") if alone else Path(parent).glob(PART + "*")
        for folder in list(found):
            _remove(folder, alone)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step, so that neither is ever missing; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # neither glibc since 2.28 nor musl since 1.2.5
        return False
    return rename(_AT_HERE, os.fsencode(one), _AT_HERE, os.fsencode(other), _EXCHANGE) == 0


def _made(parent: str | os.PathLike) -> tuple[Path, int | None]:
    """A new folder and the open handle that holds it, None where the file system has no locks of folders."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PART, dir=parent))
        try:
            handle = _opened(folder)
        except FileNotFoundError:  # taken for an abandoned one before it was held
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(folder)):
                return folder, handle
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError:
            os.close(handle)
            return folder, None
        os.close(handle)


def _remove(folder: Path, alone: bool) -> None:
    """Remove one folder, unless it is locked, belongs to another user, or by its name was not created by edgekit."""
    if not _MADE.fullmatch(folder.name):
        return
    with contextlib.suppress(OSError):
        handle = _opened(folder)
        try:
            if hasattr(os, "geteuid") and os.fstat(handle).st_uid != os.geteuid():
                return
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if isinstance(error, BlockingIOError) or not alone:
                    return
            _put_back(folder)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


def _put_back(folder: Path) -> None:
    aside = folder / OLD
    for path in list(aside.iterdir()) if aside.is_dir() else ():
        if not os.path.lexists(folder.parent / path.name):
            os.rename(path, folder.parent / path.name)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
