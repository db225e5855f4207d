"""One map in one ``.npz`` under the key ``arr_0``."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write

KEY = "arr_0"


def read_array(path: str) -> np.ndarray:
    """The array in a file, as it is stored; nothing in the file is executed.

    EdgekitError naming the file where it is missing, damaged (its checksum says so) or without ``arr_0``.
    """
    try:
        with zipfile.ZipFile(path) as file:
            # the whole member, so that its checksum is compared before numpy believes the header
            return np.lib.format.read_array(io.BytesIO(file.read(f"{KEY}.npy")), allow_pickle=False)
    except MemoryError:
        raise
    except FileNotFoundError:
        raise EdgekitError("the file is gone", where=path, fix="the folder changed since it was listed") from None
    except KeyError:
        raise EdgekitError(
            f"the file has no array '{KEY}'", where=path, fix="write it with np.savez(path, map)"
        ) from None
    except Exception as error:  # of many types: BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, …
        raise EdgekitError(f"the file is damaged: {error}", where=path, fix="copy or make it again") from error


def write_array(path: Path, array: np.ndarray, *, compress: bool) -> int:
    """Write the file, whole or not at all; returns its size in bytes."""
    with atomic_write(path) as part, open(part, "wb") as file:
        (np.savez_compressed if compress else np.savez)(file, array)
    return path.stat().st_size
