"""Reading files and JSON that may come from anyone: bounded, from regular files alone, and checked."""

from __future__ import annotations

import json
import math
import os
import stat
from typing import Any, BinaryIO

from edgekit import limits
from edgekit.errors import EdgekitError

_COPY = "copy it again, or make it again"


def open_regular(
    path: str | os.PathLike, *, what: str = "the file", most: int | None = None, fix: str = _COPY
) -> BinaryIO:
    """A regular file, opened to be read.

    FileNotFoundError where it is missing. EdgekitError where it is a folder, a device or a pipe (reading those may
    never end), larger than ``most`` bytes (default: limits.MOST_BYTES; also where most of it is a hole), or cannot be
    read. ``what`` names it in the sentence.
    """
    most = limits.MOST_BYTES if most is None else most
    where = shown_path(path)
    try:
        # a pipe that nobody writes to would block already when it is opened, and devices may do things when they are
        regular = stat.S_ISREG(os.stat(path).st_mode)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) if regular else -1
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise EdgekitError(f"{what} cannot be read: {reason}", where=where, fix=fix) from error
    if not regular:
        kind = "a folder" if os.path.isdir(path) else "a device or a pipe"
        raise EdgekitError(f"{what} is {kind}, not a regular file", where=where, fix="give a regular file")
    file = os.fdopen(handle, "rb")
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_size > most:
        file.close()
        size = f"{what} has {about.st_size:,} bytes, and at most {most:,} are read"
        raise EdgekitError(size, where=where, fix=f"give a smaller file; {fix}")
    return file


def read_bytes(path: str | os.PathLike, *, what: str = "the file", most: int | None = None, fix: str = _COPY) -> bytes:
    """The content of a file; errors as of ``open_regular``."""
    with open_regular(path, what=what, most=most, fix=fix) as file:
        try:
            return file.read()
        except OSError as error:
            raise EdgekitError(f"{what} cannot be read: {error.strerror}", where=str(path), fix=fix) from error


def read_text(
    path: str | os.PathLike, *, what: str = "the file", most: int = limits.TEXT_BYTES, fix: str = _COPY
) -> str:
    """The content of a text file in UTF-8, a byte order mark left out; errors as of ``open_regular``, and for text in
    another encoding."""
    content = read_bytes(path, what=what, most=most, fix=fix)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = f"{what} is not UTF-8 text (byte 0x{content[error.start]:02x} at offset {error.start})"
        raise EdgekitError(wrong, where=shown_path(path), fix=fix) from None


def read_json(path: str | os.PathLike, *, what: str = "the file", fix: str = _COPY) -> Any:
    """The document in a JSON file; errors as of ``open_regular`` and ``parse_json``."""
    content = read_bytes(path, what=what, most=limits.JSON_BYTES, fix=fix)
    return parse_json(content, where=shown_path(path), what=what, fix=fix)


def parse_json(text: str | bytes, *, where: str, what: str = "the file", fix: str = _COPY) -> Any:
    """A JSON document (RFC 8259) as plain values, validated.

    EdgekitError, naming ``where``, for what is no JSON, for NaN and numbers that no float64 or int64 holds, a key
    that stands twice, half a character (a lone surrogate), and nesting deeper than limits.JSON_LEVELS.
    """
    try:
        document = json.loads(
            text, parse_constant=_constant, parse_float=_real, parse_int=_whole, object_pairs_hook=_unique
        )
        _check(document)
    except RecursionError:
        wrong = f"{what} is nested deeper than {limits.JSON_LEVELS} levels"
    except ValueError as error:
        wrong = f"{what} is no JSON that can be read: {str(error)[:200]}"
    else:
        return document
    raise EdgekitError(wrong, where=where, fix=fix) from None


def shown_path(path: str | os.PathLike) -> str:
    """A path for an error message, where it is of any length."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else repr(path)
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    return text if len(text) <= 300 else f"{text[:297]}..."


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or abs(value := int(text)) > limits.JSON_LARGEST:
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice")
    return document


def _check(document: Any) -> None:
    """Depth and characters, level by level: no recursion, whatever is nested."""
    level, depth = [document], 0
    while level:
        if depth > limits.JSON_LEVELS:
            raise RecursionError
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _encodable(value)
            elif isinstance(value, list):
                below += value
            elif isinstance(value, dict):
                below += value.keys()
                below += value.values()
        level, depth = below, depth + 1


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"half a character (a lone surrogate) in {text[:40]!r}") from None
