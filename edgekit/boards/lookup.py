"""Boards and JetPacks by name, and which goes with which."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from edgekit.boards.table import Board, JetPack, OldJetPack, numbers, table, within
from edgekit.errors import EdgekitError


def find_board(name: str) -> Board:
    """The board of this name; case, spaces, underscores and a leading ``jetson`` do not matter.

    EdgekitError, naming the nearest and all known ones, for a name that is unknown, that matches several boards
    (``orin-nx``), or that belongs to a board which edgekit does not support.
    """
    known = table()
    plain = _plain(name)
    if plain in known.boards:
        return known.boards[plain]
    old = known.old_boards.get(plain) or known.old_boards.get(re.split(r"-\d", plain)[0])
    if old:
        raise EdgekitError(
            f"{old.title} is not supported: {old.why}", where="--board", fix=f"use one of {', '.join(known.boards)}"
        )
    several = [row for row in known.boards if plain and row.startswith(plain + "-")]
    if plain and not several:  # every word asked for is one of the row's: orin-64gb finds agx-orin-64gb
        several = [row for row in known.boards if set(plain.split("-")) <= set(row.split("-"))]
    if len(several) == 1:
        return known.boards[several[0]]
    if several:
        raise EdgekitError(f"'{name}' fits several boards", where="--board", fix=f"write one of {', '.join(several)}")
    raise EdgekitError(f"unknown board '{name}'", where="--board", fix=_suggest(plain, known.boards))


def find_jetpack(version: str) -> JetPack:
    """The JetPack of this version; a patch release that is no row of its own belongs to the row below it (5.1.3: 5.1).

    EdgekitError, naming the known ones, for an unknown version or one that edgekit does not support.
    """
    known = table()
    parts = numbers(version) if re.fullmatch(r"\d{1,3}(\.\d{1,3}){1,3}", version, re.ASCII) else ()
    below = [row for row in known.jetpacks if numbers(row)[:2] == parts[:2] and numbers(row) <= parts]
    if below:
        return known.jetpacks[max(below, key=numbers)]
    if not parts or parts > numbers(next(iter(known.jetpacks))):
        raise EdgekitError(f"unknown JetPack '{version}'", where="--jetpack", fix=_suggest(version, known.jetpacks))
    older = list(known.old_jetpacks.values())
    old = next((row for row in reversed(older) if numbers(row.version) <= parts), older[0])
    fix = old.fix or f"use JetPack {', '.join(known.jetpacks)}"
    raise EdgekitError(f"JetPack {version} is not supported: {old.why}", where="--jetpack", fix=fix)


def check_pair(board: Board, jetpack: JetPack) -> None:
    """EdgekitError where this JetPack does not run on this board."""
    if jetpack.version in board.jetpacks:
        return
    what = f"JetPack {jetpack.version} does not run on {board.title}"
    if numbers(jetpack.version) > numbers(board.jetpacks[-1]):
        what += f", which ends at JetPack {board.jetpacks[-1]}"
    raise EdgekitError(what, where="--jetpack", fix=f"use JetPack {', '.join(board.jetpacks)}, or another board")


def newest_jetpack(board: Board, *, dla: bool = False) -> JetPack:
    """The newest JetPack that runs on the board; with ``dla`` the newest that can build for one."""
    rows = [table().jetpacks[version] for version in board.jetpacks]
    return [row for row in rows if row.dla or not dla][-1]


def jetpack_of_l4t(release: str) -> JetPack | OldJetPack | None:
    """The JetPack that carries L4T ``release`` (as "36.4.3"); of several the oldest; None for a release not known."""
    known = table()
    rows = [*known.old_jetpacks.values(), *known.jetpacks.values()]
    return next((row for row in rows if len(numbers(release)) >= 2 and within(release, *row.l4t)), None)


def _plain(name: str) -> str:
    plain = re.sub(r"[\s_-]+", "-", name.strip().lower()).strip("-")
    plain = re.sub(r"(\d)-(gb)\b", r"\1\2", plain)
    return plain.removeprefix("nvidia-").removeprefix("jetson-")


def _suggest(asked: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(asked, known, n=1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"Known: {', '.join(known)}"
