"""Reading files of tensors, which may come from anyone: nothing in them is executed, and they take no more memory than
they are large."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from edgekit import limits
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.outside import open_regular

_ZIP, _PICKLE = b"PK\3\4", b"\x80"
_UNBOUNDED = b"bytearray"
"""What a pickle of weights alone may hold besides tensors and plain values: of any size that the file names."""


def read_tensors(path: Path, *, what: str, fix: str, most: int = limits.MOST_BYTES) -> Any:
    """What torch or safetensors wrote, on the CPU: tensors and plain values.

    FileNotFoundError where it is missing. EdgekitError where it is no such file, is compressed, damaged (also by a
    single changed byte, where it has checksums) or over ``most`` bytes, or says that its tensors are larger than it is.
    """
    file = open_regular(path, what=what, most=most, fix=fix)
    try:
        with file:
            begins, size = file.read(4), file.seek(0, 2)
            file.seek(0)
            if path.suffix == ".safetensors":
                from safetensors.torch import load  # comes with timm

                return load(file.read())
            if begins == _ZIP:
                _check_whole(file, size)
                file.seek(0)
                return torch.load(file, map_location="cpu", weights_only=True)
            return _of_old(file.read(), size)
    except Exception as error:  # of many types: UnpicklingError, BadZipFile, zlib.error, EOFError, SafetensorError, …
        raise EdgekitError(f"{what} cannot be read: {first_line(error)}", where=str(path), fix=fix) from error


def _check_whole(file: BinaryIO, size: int) -> None:
    """BadZipFile for a file that torch would not write, or that does not match its checksums, which torch ignores."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or len(members) > limits.CHECKPOINT_MEMBERS or sum(m.file_size for m in members) > size:
            raise zipfile.BadZipFile("it is compressed, or otherwise not as torch writes it")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged[:60]} does not match its checksum")
        described = next((m for m in members if m.filename.endswith("/data.pkl")), None)
        if described and _UNBOUNDED in archive.read(described):
            raise zipfile.BadZipFile("it holds more than tensors and plain values")


def _of_old(content: bytes, size: int) -> Any:
    """What torch wrote before 1.6: pickles, then the tensors' bytes. From memory, or torch would try it as a tar."""
    if not content.startswith(_PICKLE) or _UNBOUNDED in content:
        raise pickle.UnpicklingError("it is not as torch writes it, or holds more than tensors and plain values")
    found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # Memory that nothing was read into is there all the same.
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors(found)}
    if sum(storages.values()) > size:
        raise pickle.UnpicklingError("its tensors are larger than it is")
    return found


def _tensors(found: Any) -> list[Tensor]:
    if isinstance(found, dict):
        return [tensor for value in found.values() for tensor in _tensors(value)]
    return [found] if isinstance(found, Tensor) and found.layout == torch.strided else []
