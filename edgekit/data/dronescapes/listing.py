"""Which frames have which tasks: names alone, no file is opened or even looked at."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from edgekit.errors import EdgekitError

SUFFIX = ".npz"
SIDE_FILE = "_extra.npz"  # beside a frame, and no frame

Places = dict[str, str]
"""Frame name -> the folder of its file below the task's: "", "npz", "part0", …"""


def file_of(folder: str | os.PathLike, place: str, stem: str) -> str:
    """The file of a frame, whose name on the disk may be in the other form of Unicode than the frame's, NFC."""
    path = os.path.join(folder, place, stem + SUFFIX)
    if not stem.isascii() and not os.path.exists(path):
        return os.path.join(folder, place, unicodedata.normalize("NFD", stem) + SUFFIX)
    return path


def list_set(folder: Path) -> dict[str, Places]:
    """Task -> places of its frames, for a set such as ``train_set``; a folder without frames is no task.

    In the order of the names. EdgekitError for a frame that a task has twice.
    """
    shared: dict[str, str] = {}  # the same text for the same name in every task: a quarter of the memory
    tasks = sorted(entry.name for entry in _entries(folder) if not entry.name.startswith(".") and entry.is_dir())
    listed = {task: list_frames(folder / task, shared) for task in tasks}
    return {task: places for task, places in listed.items() if places}


def list_frames(folder: Path, shared: dict[str, str] | None = None) -> Places:
    """The places of the frames of one task's folder. EdgekitError for a frame that is there twice."""
    shared = {} if shared is None else shared
    places: Places = {}

    def add(name: str, place: str) -> None:
        if not name.endswith(SUFFIX) or name.endswith(SIDE_FILE) or name.startswith("."):
            return
        stem = unicodedata.normalize("NFC", name[: -len(SUFFIX)])
        stem = shared.setdefault(stem, stem)
        if stem in places:
            raise EdgekitError(
                f"the frame '{stem}' is there twice: {places[stem] or '.'}/{name} and {place or '.'}/{name}",
                where=str(folder),
                fix="keep one of the two",
            )
        places[stem] = place

    parts = []
    for entry in _entries(folder):
        if entry.name.endswith(SUFFIX):
            add(entry.name, "")
        elif entry.name == "npz" or entry.name.startswith("part"):
            parts.append(entry.name)
    for part in sorted(parts):
        if (folder / part).is_dir():
            for entry in _entries(folder / part):
                add(entry.name, part)
    return places


def _entries(folder: Path) -> Iterator[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        fix = "check that it is a folder, and that it may be read"
        raise EdgekitError(f"the folder cannot be listed: {error.strerror}", where=str(folder), fix=fix) from error
