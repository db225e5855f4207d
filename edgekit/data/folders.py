"""What sources that read a folder of files have in common."""

from __future__ import annotations

import hashlib
import math
import os
import re
import signal
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.frames.names import component
from edgekit.tasks import Task, kind_of

Side = Annotated[int, Field(ge=1, le=16384)]
UNSIZED_PIXELS = 480 * 640
"""Of a frame that no recipe gives a size: crops that a network is trained on show too little of a larger one."""


def _compiles(pattern: str) -> str:
    if len(pattern) > limits.PATTERN_CHARACTERS:
        most = limits.PATTERN_CHARACTERS
        raise ValueError(f"a regular expression of {len(pattern)} characters, and at most {most} are read")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A regular expression."""


def _names_a_file(name: str) -> str:
    try:
        return component(name)
    except EdgekitError as error:
        raise ValueError(error.what) from None


FileName = Annotated[str, AfterValidator(_names_a_file)]
"""A name that becomes a file's or folder's: of a split, of a task."""


def root_folder(root: Path, base: Path) -> Path:
    """The folder ``data.root``, relative to the recipe's folder ``base``. EdgekitError where it does not exist."""
    folder = Path(base, expand_home(root))
    if not folder.is_dir():
        raise EdgekitError(
            f"the folder '{root}' does not exist",
            where=f"data.root: {folder}",
            fix="the path is relative to the recipe's own folder",
        )
    return folder


@contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    """EdgekitError where the block computes longer than this; not in a thread other than the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise EdgekitError(
            f"the expression takes more than {seconds:g} s to look for in one name",
            where="data.scene_regex",
            fix="write one without a repetition inside another, e.g. '^[a-z]+'",
        )

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def scene_of(pattern: str, name: str) -> str | None:
    """The scene in a frame's name: the first group of ``pattern``, or its whole match; None without a match.

    EdgekitError where looking for it takes longer than limits.PATTERN_SECONDS: ``(a+)+`` may take years.
    """
    with _interrupted_after(limits.PATTERN_SECONDS):
        match = re.search(pattern, name)
    return match and ((match.group(1) if match.re.groups else match.group()) or "")


def required_scene(pattern: str, name: str) -> str:
    """`scene_of`. EdgekitError without a match."""
    scene = scene_of(pattern, name)
    if scene is None:
        raise EdgekitError(
            f"the frame '{name}' has no scene: '{pattern}' is not found in its name",
            where="data.scene_regex",
            fix="write an expression that fits every name, e.g. '^[a-z]+'",
        )
    return scene


def bounded_size(height: int, width: int) -> tuple[int, int] | None:
    """The size of at most `UNSIZED_PIXELS` with the same ratio of sides, in whole pixels; None: small enough."""
    shrink = math.sqrt(UNSIZED_PIXELS / (height * width))
    return (max(1, round(height * shrink)), max(1, round(width * shrink))) if shrink < 1 else None


def resized_map(task: Task, array: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """A native map at ``size`` (height, width), None: as it is.

    Pictures are averaged; values with holes and class indices come from the nearest pixel.
    """
    if size is None or array.shape[:2] == size:
        return array
    how = cv2.INTER_AREA if kind_of(task).interpolation == "area" else cv2.INTER_NEAREST_EXACT
    return cv2.resize(array, (size[1], size[0]), interpolation=how)


def hash_files(facts: object, files: Iterable[tuple[str, str | os.PathLike]]) -> str:
    """SHA-256 of ``facts`` and of each (name, file)'s name, size and time of change; no file is read."""
    digest = hashlib.sha256(repr(facts).encode())
    for name, file in files:
        status = os.stat(file)
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def natural(name: str) -> tuple[list[int | str], str]:
    """Sort key under which frame 9 comes before frame 10."""
    parts = re.split(r"([0-9]+)", name)  # text and digits in turn, so that like meets like
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def nfc(name: str) -> str:
    """A name in Unicode's form NFC: the ü of one system is u and two dots on another.

    EdgekitError for a file's name that is no UTF-8.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        shown = os.fsencode(name).decode(errors="backslashreplace")
        raise EdgekitError("a file's name is not UTF-8 text", where=shown, fix="rename it, e.g. with convmv")
    return unicodedata.normalize("NFC", name)
