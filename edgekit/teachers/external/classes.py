"""Which of our classes each class of a teacher is, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.errors import EdgekitError, did_you_mean


def class_matrix(
    ours: Sequence[str],
    theirs: Sequence[str],
    merge: Mapping[str, Sequence[str]] | None,
    ignore: Sequence[str],
    where: str,
) -> np.ndarray:
    """(ours, theirs) float32: 1 where a class of the teacher is one of ours; an ignored one is in no row.

    Without ``merge`` classes of the same name are the same. EdgekitError naming a class that fits nothing, is used
    twice, or is missing.
    """
    if len(set(theirs)) < len(theirs):
        twice = next(name for name in theirs if list(theirs).count(name) > 1)
        raise EdgekitError(
            f"the class '{twice}' stands twice among the teacher's",
            where=f"{where}.classes",
            fix="list each class once",
        )
    if merge is None:
        merge = {name: [name] for name in ours}
        missing = [name for name in ours if name not in theirs]
        if missing:
            raise EdgekitError(
                f"the teacher has no class '{missing[0]}'; it has {', '.join(theirs)}",
                where=f"{where}.classes",
                fix=f"name its classes that belong to it: merge: {{{missing[0]}: […], …}}",
            )
    for name in merge:
        if name not in ours:
            fix = did_you_mean(name, ours) or f"it has {', '.join(ours)}"
            raise EdgekitError(f"the task has no class '{name}'", where=f"{where}.merge", fix=fix)
    empty = [name for name in ours if name not in merge]
    if empty:
        fix = f"name the teacher's classes that belong to it, or none: {empty[0]}: []"
        raise EdgekitError(f"nothing is merged into the class '{empty[0]}'", where=f"{where}.merge", fix=fix)
    owner: dict[str, str] = dict.fromkeys(ignore, "ignore")
    matrix = np.zeros((len(ours), len(theirs)), np.float32)
    for name in ignore:
        _check_theirs(name, theirs, f"{where}.ignore")
    for name, parts in merge.items():
        for part in parts:
            _check_theirs(part, theirs, f"{where}.merge.{name}")
            if part in owner:
                what = f"the teacher's class '{part}' is used twice, for {owner[part]} and {name}"
                raise EdgekitError(what, where=f"{where}.merge.{name}", fix="list it under one of them")
            owner[part] = name
            matrix[list(ours).index(name), list(theirs).index(part)] = 1
    unused = [name for name in theirs if name not in owner]
    if unused:
        raise EdgekitError(
            f"the teacher's class '{unused[0]}' matches no class of the task",
            where=f"{where}.merge",
            fix=f"merge it into one of {', '.join(ours)}, or list it under ignore",
        )
    return matrix


def _check_theirs(name: str, theirs: Sequence[str], where: str) -> None:
    if name not in theirs:
        raise EdgekitError(
            f"the teacher has no class '{name}'; it has {', '.join(theirs)}",
            where=where,
            fix=did_you_mean(name, theirs) or "use one of these",
        )
