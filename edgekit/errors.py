"""The one exception a user can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgekitError(Exception):
    """A mistake in what the user gave: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with 2.

    >>> print(EdgekitError("unknown student 'repsag'", where="recipes/uav.yaml: student.name", fix="use repseg"))
    unknown student 'repsag'
      where: recipes/uav.yaml: student.name
      fix:   use repseg
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None):
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class WriteError(EdgekitError):
    """A file could not be written: the fault of the disk or the folder, and never of the data that was read."""


def first_line(error: BaseException) -> str:
    """An exception in one line: the first line of its message, or its type where it has no message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def did_you_mean(name: object, known: Iterable[object]) -> str | None:
    """Advice that names the known name most like ``name``; None where none is like it."""
    near = difflib.get_close_matches(str(name), map(str, known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else None
