"""Text inside a Markdown table."""

from __future__ import annotations


def cell(text: str) -> str:
    """``text`` as one cell: a `|` would end it, a line's end the whole table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
