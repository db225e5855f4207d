"""Problems of a recipe, collected and reported together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.errors import EdgekitError

_LONGEST_VALUE = 80
_MOST_SHOWN = 50


@dataclass(frozen=True)
class Problem:
    """One mistake: what is wrong (with the value), where (file, line, key path) and what to do."""

    what: str
    where: str
    fix: str | None = None


def raise_problems(problems: Sequence[Problem], recipe: str) -> None:
    """Raise one EdgekitError that lists all ``problems`` of the file ``recipe``; return if the list is empty."""
    problems = list(dict.fromkeys(problems))
    if not problems:
        return
    if len(problems) == 1:
        raise EdgekitError(problems[0].what, where=problems[0].where, fix=problems[0].fix or "correct it there")
    lines = [f"the recipe has {len(problems)} problems"]
    for number, problem in enumerate(problems[:_MOST_SHOWN], 1):
        lines.append(f"{number}. {problem.what}")
        lines.append(f"     where: {problem.where}")
        if problem.fix:
            lines.append(f"     fix:   {problem.fix}")
    if len(problems) > _MOST_SHOWN:
        lines.append(f"… and {len(problems) - _MOST_SHOWN} more")
    raise EdgekitError("\n".join(lines), where=recipe, fix="correct each where it stands")


def quoted(value: Any) -> str:
    """A value as it would stand in YAML flow style, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
