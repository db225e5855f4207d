"""A folder to build in, beside the finished engines and on their disk, that does not outlive the build."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgekit.frames.files import writing
from edgekit.frames.locks import locked
from edgekit.frames.unfinished import part_folder


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A new folder in ``target``; removed at the end, and by the next build where this one cannot (a power cut).

    One at a time: two builds on one board compete for memory, and each distorts the other's timings.
    EdgekitError where another build is at work there, the disk is full or the folder cannot be written.
    """
    with locked(target, "another build of this bundle is running"), ExitStack() as held:
        with writing(target):
            folder = held.enter_context(part_folder(target))
        yield folder
