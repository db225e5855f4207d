"""Which board this is, by its device tree."""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.boards.files import text_or_empty
from edgekit.boards.table import Board, OldBoard, table

_GIB = 2**30


def text_of(path: Path) -> str:
    """A property of the device tree as text, its NUL-terminated strings as lines."""
    return "\n".join(part for part in text_or_empty(path).split("\0") if part.strip())


def identify(model: str, compatible: str = "", memory: int | None = None) -> Board | OldBoard | None:
    """The board by its model's name, its part numbers and its memory in bytes (MemTotal, a little less than sold).

    None for a machine that is no board we know, or where several boards fit and the memory is not known.
    """
    known = table()
    parts = set(re.split(r"[\s,+]+", compatible.lower()))
    name = re.sub(r"\s+", " ", model.lower())
    if not any(mark in f"{name} {compatible.lower()}" for mark in ("jetson", "nvidia", "tegra", "quill")):
        return None
    rows: list[Board | OldBoard] = [*known.boards.values(), *known.old_boards.values()]
    by_part = [row for row in rows if parts & set(row.modules)]
    found = by_part or [row for row in rows if any(model in name for model in row.models)]
    old = [row for row in found if isinstance(row, OldBoard)]
    if old:
        return old[0]
    is_super = "super" in f"{name} {compatible.lower()}"
    fitting = [row for row in found if isinstance(row, Board) and row.is_super == is_super]
    fitting = fitting or [row for row in found if isinstance(row, Board)]
    if len(fitting) > 1 and memory is not None:
        # What the kernel keeps is missing from MemTotal, so the board is the smallest that holds it.
        holding = [row for row in fitting if memory <= row.memory_gb * _GIB]
        fitting = [min(holding, key=lambda row: row.memory_gb)] if holding else []
    return fitting[0] if len(fitting) == 1 else None
