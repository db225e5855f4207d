"""A map in a file that says under which key it was made; and notes of frames that failed.

The key is the comment of the archive, its last bytes: to read it says at once whether the file is whole to its end and
whether it is what the pipeline wants, in microseconds. Readers of ``arr_0`` do not see it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from edgekit.data.dronescapes.files import KEY, read_map
from edgekit.data.dronescapes.listing import SUFFIX
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, write_text
from edgekit.frames.outside import read_json
from edgekit.frames.unfinished import PART
from edgekit.tasks import Task

HIDDEN = ".edgekit"
"""Folder of the result for what is no map; readers of the layout pass over it."""
_MARK = b"edgekit "
_DIGITS = 16
_LENGTH = len(_MARK) + _DIGITS
_END = b"PK\x05\x06"  # of an archive without a comment this begins 22 bytes before the end
_LEVEL = 1  # of zlib: half the time of the usual 6, for a few per cent more bytes


def key_of(*parts: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


LAYOUTS = ("dronescapes", "vre")


@dataclass(frozen=True)
class Tree:
    """Where the maps of a result lie, by the frame's name, ``<film>_<number or photograph>``.

    dronescapes  ``<out>/<set>/<task>/<name>.npz``
    vre          ``<out>/<set>/<film>/<task>/npz/<number>.npz``: of video-representations-extractor, one output a film
    """

    out: Path
    layout: str = LAYOUTS[0]

    def file(self, folder: str, task: str, name: str) -> str:
        """The file of a frame's map, as text: hundreds of thousands are looked at."""
        if self.layout == "vre":
            film, _, number = name.partition("_")
            return os.path.join(self.out, folder, film, task, "npz", (number.lstrip("0") or "0") + SUFFIX)
        return os.path.join(self.out, folder, task, name + SUFFIX)

    def read(self, folder: str, name: str, task: Task) -> np.ndarray:
        """A frame's native map. EdgekitError where it is missing or damaged."""
        return read_map(task, self.file(folder, task.name, name))

    def read_if_whole(self, folder: str, name: str, task: Task) -> np.ndarray | None:
        """The same, None where it is missing or damaged: `data status` and `data verify` name such files."""
        try:
            return self.read(folder, name, task)
        except EdgekitError:
            return None

    def names(self, folder: str, task: str) -> list[str]:
        """The names of the frames of a set that have a task's map."""
        folder = os.path.join(self.out, folder)
        if self.layout == "vre":
            films = [(film, _stems(os.path.join(folder, film, task, "npz"))) for film in _listed(folder)]
            return [f"{film}_{number:0>6}" for film, numbers in films for number in numbers]
        return _stems(os.path.join(folder, task))

    def unfinished(self) -> set[Path]:
        """The folders where killed runs may have left half a file."""
        maps = "*/*/*/npz" if self.layout == "vre" else "*/*"
        parts = [*self.out.glob(f"{maps}/{PART}*"), *(self.out / HIDDEN).rglob(f"{PART}*")]
        return {self.out, *(path.parent for path in parts)}


def _stems(folder: str) -> list[str]:
    return [name[: -len(SUFFIX)] for name in _listed(folder) if name.endswith(SUFFIX)]


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def write_map(path: str | os.PathLike, stored: np.ndarray, key: str) -> None:
    """Write the file, whole or not at all; the same map and key give the same bytes."""
    with (
        atomic_write(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive,
    ):
        member = zipfile.ZipInfo(f"{KEY}.npy")  # of 1980, whatever the time is
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w", force_zip64=True) as file:
            np.lib.format.write_array(file, np.ascontiguousarray(stored), allow_pickle=False)
        archive.comment = _MARK + key.encode()


def key_in(path: str) -> str | None:
    """The key a file was made under; "" if truncated, unreadable or of another tool, None if the file is missing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    try:
        size = os.fstat(handle).st_size
        tail = os.pread(handle, _LENGTH + 22, max(0, size - _LENGTH - 22))
    finally:
        os.close(handle)
    if tail[:4] != _END or tail[22 : 22 + len(_MARK)] != _MARK:
        return ""
    return tail[22 + len(_MARK) :].decode(errors="replace")


@dataclass(frozen=True)
class Failure:
    """A frame's map that could not be made, or (``task`` rgb, ``frame`` empty) a film that could not be read on."""

    folder: str
    film: str
    frame: str
    task: str
    key: str
    what: str

    def path(self, out: Path) -> Path:
        return failure_file(out, self.folder, self.film, self.task, self.frame)

    def write(self, out: Path) -> None:
        write_text(self.path(out), json.dumps(asdict(self), indent=1))


_FAILURE = TypeAdapter(Failure)


def failure_file(out: Path, folder: str, film: str, task: str, frame: str) -> Path:
    return out / HIDDEN / "failed" / folder / film / task / f"{frame or 'film'}.json"


def read_failures(out: Path) -> list[Failure]:
    """All noted failures. Unreadable or misplaced notes are ignored, so those frames are retried."""
    found = []
    for path in sorted((out / HIDDEN / "failed").rglob("*.json")):
        if not any(part.startswith(".part-") for part in path.parts):
            try:
                failure = _FAILURE.validate_python(read_json(path, what="the note"))
            except (EdgekitError, FileNotFoundError, ValidationError):
                continue
            if failure.path(out) == path:
                found.append(failure)
    return found
