"""Text on a terminal: what would command it is spelled out, and nothing of it is markup."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# C0 but tab and line feed, DEL, C1, and what turns the direction of reading
_COMMANDS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")


def spelled_out(text: str) -> str:
    """``text`` without the characters that a terminal obeys: ``ESC`` is ``\\x1b``; lines and tabs stay."""
    return _COMMANDS.sub(_spell, text)


def spelled_out_json(text: str) -> str:
    """A JSON document with the same characters as escapes, so that it says what it said."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def console(stream: TextIO | None = None, *, width: int | None = None) -> Console:
    """A rich console on ``stream`` (default: stdout) that takes all text as it is: no markup, no emoji, no command."""
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        def render(self, renderable, options=None):
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else spelled_out(text), style, control)

    stream = sys.stdout if stream is None else stream
    return Plain(file=getattr(stream, "styled", stream), width=width, highlight=False, markup=False, emoji=False)


def rich_table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    right: Collection[str] = (),
    *,
    overflow: Literal["fold", "ellipsis"] = "fold",
) -> Table:
    """A rich table of ``rows`` below ``columns``; those in ``right`` are aligned right.

    ``overflow``: what becomes of words and numbers that are longer than their column.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow=overflow)
    for row in rows:
        table.add_row(*row)
    return table


def _spell(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
