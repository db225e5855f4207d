"""A folder to build in, beside the finished engines and on their disk, that does not outlive the build."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.frames.files import PART, writing
from edgekit.frames.locks import locked


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A new folder in ``target``; removed at the end, and by the next build where this one cannot (a power cut).

    One at a time: two builds on one board take each other's memory, and each falsifies what the other times.
    EdgekitError where another build is at work there, the disk is full or the folder cannot be written.
    """
    with locked(target, "another build of this bundle is running"):
        with writing(target):
            folder = tempfile.TemporaryDirectory(prefix=PART, dir=target, ignore_cleanup_errors=True)
        with folder:
            yield Path(folder.name)
