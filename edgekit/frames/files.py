"""Files that are either whole or absent, their hash, and what a refused write means."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import EdgekitError, WriteError
from edgekit.frames.unfinished import part_folder

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}
# What the system also says of a place that takes no files, such as /proc; of another file it means something else.
_NO_PLACE = {errno.ENOENT, errno.EINVAL, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EIO}


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` when the block ends without an exception.

    Missing parent folders are made. The temporary file carries the final name in a folder of its own beside the
    target, so that writers that look at the suffix work, and a glob of the target's folder never meets half a file.
    A reader sees the old file or the new one, also after a kill or a power cut. WriteError where the disk is full or
    the folder cannot be written.

    >>> with atomic_write("runs/metrics.json") as part:  # doctest: +SKIP
    ...     part.write_text("{}")
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part_folder(path.parent) as folder:
            part = folder / path.name
            yield part
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, path)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a whole file or nothing, in UTF-8; the path."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


@contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Turn the system's refusal to write ``path`` into a WriteError that says what to do."""
    try:
        yield
    except OSError as error:
        where = str(error.filename or path)[:300]
        if error.errno in _FULL:
            fix = "free some space there, then run the same command again: what is finished is kept"
            raise WriteError(f"the disk is full: {error.strerror}", where=where, fix=fix) from error
        if error.errno in _CLOSED or (error.errno in _NO_PLACE and _concerns(error, Path(path))):
            fix = "make it writable, or name another place to write to"
            raise WriteError(f"cannot write: {error.strerror}", where=where, fix=fix) from error
        raise


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about ``path``, a folder above it, or what lies in its folder."""
    if error.filename is None:
        return False
    named = Path(os.fsdecode(error.filename)).absolute()
    return named in path.absolute().parents or path.absolute().parent in named.parents


def cache_folder() -> Path:
    """Where what can be made again is kept between runs; it need not be there yet, see ``make_cache``.

    ``$EDGEKIT_CACHE``, else ``~/.cache/edgekit``. A user without a home folder, as in many containers, or who may not
    write there, has it among the temporary files.
    """
    if given := os.environ.get("EDGEKIT_CACHE"):
        return Path(given)
    home = Path(os.path.expanduser("~"))  # ~ itself where nobody knows
    folder = home / ".cache" / "edgekit"
    there = next((f for f in (folder, *folder.parents) if os.path.exists(f)), home)  # False also where one may not look
    if home.is_absolute() and len(home.parts) > 1 and (there == folder or os.access(there, os.W_OK | os.X_OK)):
        return folder
    user = os.getuid() if hasattr(os, "getuid") else os.getpid()
    folder = Path(tempfile.gettempdir()) / f"edgekit-{user}"
    with contextlib.suppress(FileNotFoundError):
        if folder.lstat().st_uid != user:  # somebody else made it: what lies in it is not ours to trust
            return folder.with_name(f"{folder.name}-{os.getpid()}")
    return folder


def make_cache(folder: Path) -> Path:
    """``folder``, somewhere under ``cache_folder()``, made if need be. WriteError where it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        fix = "make it writable, or set EDGEKIT_CACHE to a folder that is"
        raise WriteError(f"the cache cannot be written: {error.strerror}", where=str(folder), fix=fix) from error
    return folder


def expand_home(path: str | os.PathLike) -> Path:
    """``path`` with ``~`` as the home folder. EdgekitError if no home is known, and for what cannot be a path."""
    if "\0" in os.fspath(path):
        raise EdgekitError("a path holds the character NUL", where=repr(os.fspath(path))[:300], fix="write it without")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        what = "the path begins with '~', and no home folder is known for that"
        raise EdgekitError(what, where=str(path), fix="write the whole path, or set HOME") from None


def is_whole_zip(path: Path) -> bool:
    """Whether an archive, such as an .npz, ends as a finished one does: enough to see one that was cut off."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; reads in pieces, so any size will do."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
