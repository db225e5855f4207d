"""Memory and swap, from /proc."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Memory:
    """In bytes; None where it was not stated."""

    total: int | None = None
    available: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None


_FIELD = re.compile(r"^(MemTotal|MemAvailable|SwapTotal|SwapFree):\s+(\d{1,15}) kB\s*$", re.MULTILINE | re.ASCII)


def parse_meminfo(text: str) -> Memory:
    """From ``/proc/meminfo``."""
    found = {name: 1024 * int(value) for name, value in _FIELD.findall(text)}
    return Memory(*(found.get(name) for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")))
