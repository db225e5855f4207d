"""Reading files of /proc and /sys, any of which may be missing or unreadable."""

from __future__ import annotations

import re
from pathlib import Path


def text_or_empty(path: Path) -> str:
    """A file's text without surrounding white space and NUL; "" where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace").strip("\0\r\n\t ")
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """The whole number that a file holds; None where it holds anything else or cannot be read."""
    text = text_or_empty(path)
    return int(text) if re.fullmatch(r"-?\d{1,15}", text, re.ASCII) else None
