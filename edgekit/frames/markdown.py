"""Names and words from outside as text in a Markdown document, in which they are nothing but text."""

from __future__ import annotations

import re

_MARKS = re.compile(r"[\\`*_\[\]<>&|~]")


def escaped(words: str) -> str:
    """``words`` on one line, with what Markdown and HTML would take for a mark escaped; fit for a table's cell.

    >>> print(escaped("<b> |"))
    \\<b\\> \\|
    """
    return _MARKS.sub(r"\\\g<0>", " ".join(words.split()))


def code(words: str) -> str:
    """``words`` as a code span, in which nothing else is a mark; a backtick would end it and becomes an apostrophe."""
    return f"`{' '.join(words.split()).replace('`', chr(39))}`"
