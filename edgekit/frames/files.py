"""Files that are either whole or absent, and their hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` when the block ends without an exception.

    Missing parent folders are made. The temporary file carries the final name in a folder of its own beside the
    target, so that writers that look at the suffix work, and a glob of the target's folder never meets half a file.
    A reader sees the old file or the new one, also after a kill or a power cut.

    >>> with atomic_write("runs/metrics.json") as part:  # doctest: +SKIP
    ...     part.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".part-", dir=path.parent))
    try:
        part = folder / path.name
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cache_folder() -> Path:
    """Where what can be made again is kept between runs: ``$EDGEKIT_CACHE``, else ``~/.cache/edgekit``."""
    return Path(os.environ.get("EDGEKIT_CACHE") or Path.home() / ".cache" / "edgekit")


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; reads in pieces, so any size will do."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
