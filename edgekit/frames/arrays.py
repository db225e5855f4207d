"""Arrays from an ``.npz`` that may come from anyone: sizes and types are known before anything is unpacked."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from edgekit import limits
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.outside import open_regular, shown_path

_ENDING = ".npy"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes


def read_arrays(
    path: str | os.PathLike,
    names: Sequence[str] | None = None,
    *,
    what: str = "the file",
    fix: str = "copy or make it again",
) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` by name, those of ``names`` that it has, or all. Nothing in it is executed.

    Numbers and booleans alone, none of them empty, of limits.ARRAY_BYTES together; checksums are compared.
    FileNotFoundError where the file is missing. EdgekitError, naming it, for anything else that is no such file.
    """
    with open_regular(path, what=what, fix=fix) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                found = {
                    i.filename.removesuffix(_ENDING): i for i in archive.infolist() if i.filename.endswith(_ENDING)
                }
                if names is None and len(found) != _members(file):
                    raise ValueError("it holds more or less than its arrays")
                wanted = {name: found[name] for name in (found if names is None else names) if name in found}
                size = sum(about.file_size for about in wanted.values())
                if size > limits.ARRAY_BYTES:
                    raise ValueError(f"it unpacks to {size:,} bytes, and at most {limits.ARRAY_BYTES:,} are read")
                return {name: _array(archive, about) for name, about in wanted.items()}
        except Exception as error:  # of many types: BadZipFile, zlib.error, EOFError, NotImplementedError, …
            raise EdgekitError(
                f"{what} is damaged: {first_line(error)[:200]}", where=shown_path(path), fix=fix
            ) from error


def _members(file: BinaryIO) -> int:
    """How many an archive without a comment says that it holds (APPNOTE 4.3.16); zipfile does not look at it."""
    file.seek(-22, os.SEEK_END)
    end = file.read(22)
    return int.from_bytes(end[10:12], "little") if end.startswith(b"PK\5\6") else -1


def _array(archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> np.ndarray:
    """A member's array. Its header must account for all of its bytes before they are unpacked."""
    if about.compress_type not in _COMPRESSIONS:
        raise ValueError(f"'{about.filename[:60]}' is compressed in a way that numpy does not write")
    with archive.open(about) as member:
        shape, fortran, dtype, taken = _header(member)
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise ValueError(f"'{about.filename[:60]}' holds {dtype}, no numbers of up to 8 bytes")
        count = math.prod(shape)
        if not count or count * dtype.itemsize != about.file_size - taken:
            raise ValueError(f"'{about.filename[:60]}' says that it is {shape} {dtype}, and has another size")
        array = np.empty(count, dtype)
        view, place = memoryview(array).cast("B"), 0
        while place < len(view):
            read = member.readinto(view[place : place + (1 << 20)])
            if not read:
                raise EOFError(f"'{about.filename[:60]}' ends early")
            place += read
        member.read(1)  # the end, where its checksum is compared
    return array.reshape(shape, order="F" if fortran else "C")


def _header(member: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether it is in Fortran's order, dtype, and the header's length in bytes."""
    start = member.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError("a member is no array of numpy")
    wide = start[6] > 1
    length = member.read(4 if wide else 2)
    size = int.from_bytes(length, "little")
    if size > limits.ARRAY_HEADER:
        raise ValueError(f"an array's header has {size:,} bytes")
    header = io.BytesIO(length + member.read(size))
    read = np.lib.format.read_array_header_2_0 if wide else np.lib.format.read_array_header_1_0
    try:
        shape, fortran, dtype = read(header, max_header_size=limits.ARRAY_HEADER)
    except (RecursionError, MemoryError, SyntaxError, TypeError) as error:  # what Python's parser says of deep nesting
        raise ValueError(f"an array's header cannot be read: {type(error).__name__}") from None
    if not all(type(side) is int and 0 <= side < 2**40 for side in shape) or len(shape) > 8:
        raise ValueError("an array's header holds an impossible shape")
    return shape, fortran, dtype, 8 + len(length) + size
