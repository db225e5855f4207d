"""Memory and swap, from /proc."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.boards.files import text_or_empty


@dataclass(frozen=True)
class Memory:
    """In bytes; None where it was not stated."""

    total: int | None = None
    available: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None


_FIELD = re.compile(r"^(MemTotal|MemAvailable|SwapTotal|SwapFree):\s+(\d{1,15}) kB\s*$", re.MULTILINE | re.ASCII)


def read_memory(root: Path = Path("/")) -> Memory:
    """From ``/proc/meminfo`` under ``root``."""
    return parse_meminfo(text_or_empty(root / "proc/meminfo"))


def parse_meminfo(text: str) -> Memory:
    """From the text of ``/proc/meminfo``."""
    found = {name: 1024 * int(value) for name, value in _FIELD.findall(text)}
    return Memory(*(found.get(name) for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")))
