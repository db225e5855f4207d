"""One map in one ``.npz`` under the key ``arr_0``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.arrays import read_arrays
from edgekit.frames.files import atomic_write
from edgekit.tasks import Task, kind_of

KEY = "arr_0"


def read_array(path: str) -> np.ndarray:
    """The array in a file, as it is stored; nothing in the file is executed.

    EdgekitError naming the file where it is missing, damaged (its checksum says so) or without ``arr_0``.
    """
    try:
        found = read_arrays(path, [KEY])
    except FileNotFoundError:
        raise EdgekitError("the file is gone", where=path, fix="the folder changed since it was listed") from None
    if KEY not in found:
        raise EdgekitError(f"the file has no array '{KEY}'", where=path, fix="write it with np.savez(path, map)")
    return found[KEY]


def read_map(task: Task, path: str) -> np.ndarray:
    """The native map of a task. EdgekitError as of ``read_array``, and for an array that is no such map."""
    return kind_of(task).from_disk(task, read_array(path), path)


def write_array(path: Path, array: np.ndarray, *, compress: bool) -> int:
    """Write the file, whole or not at all; returns its size in bytes."""
    with atomic_write(path) as part, open(part, "wb") as file:
        (np.savez_compressed if compress else np.savez)(file, array)
    return path.stat().st_size
