"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """``value`` is what was found, ``meaning`` what it means for the user, ``fix`` what to do about it.

    ok       as it should be
    note     nothing to do; something is not here that this machine may not need
    warning  works, but worse: numbers that move, builds that may run out of memory
    problem  no engine can be built here until it is fixed
    """

    name: str
    state: State
    value: str
    meaning: str
    fix: str | None = None
