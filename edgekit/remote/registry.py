"""The boards a user has named: one JSON file in the user's config folder."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home, write_text
from edgekit.frames.locks import locked

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"[^\s-]\S*")


@dataclass(frozen=True)
class Board:
    """``host`` as ssh takes it: ``user@host``, or a Host of ~/.ssh/config. ``folder`` there, from the home folder."""

    name: str
    host: str
    folder: str


def file() -> Path:
    """``$XDG_CONFIG_HOME/edgekit/boards.json``, else ``~/.config/edgekit/boards.json``."""
    return (expand_home(os.environ.get("XDG_CONFIG_HOME") or "~/.config")) / "edgekit" / "boards.json"


def boards() -> dict[str, Board]:
    """By name. EdgekitError where the file is damaged."""
    try:
        return {name: Board(name, **entry) for name, entry in json.loads(file().read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        fix = "correct it, or remove it and add the boards again"
        raise EdgekitError(f"the file of boards cannot be read: {error}", where=str(file()), fix=fix) from error


def find(name: str) -> Board:
    """EdgekitError, listing those there are, where no board has that name."""
    known = boards()
    if name not in known:
        fix = f"use one of {', '.join(known)}" if known else f"edgekit board add {name} USER@HOST"
        raise EdgekitError(f"there is no board called '{name}'", fix=fix)
    return known[name]


def add(name: str, host: str, folder: str) -> Board:
    """EdgekitError where a name or address is none, or another board has that name."""
    if not _NAME.fullmatch(name):
        raise EdgekitError(f"'{name}' is no name for a board", fix="use letters, digits, '.', '_' and '-'")
    if not _HOST.fullmatch(host):
        raise EdgekitError(f"'{host}' is no address", fix="give USER@HOST, or a Host of ~/.ssh/config")
    with locked(file().parent, "the boards are being changed by another process", patience=5.0):
        known = boards()
        board = Board(name, host, folder)
        if known.get(name, board) != board:
            fix = f"take another name, or first: edgekit board remove {name}"
            raise EdgekitError(f"there is a board '{name}' already: {known[name].host}", where=str(file()), fix=fix)
        _write({**known, name: board})
    return board


def remove(name: str) -> Board:
    """Forget a board; nothing is done there. EdgekitError where there is none of that name."""
    with locked(file().parent, "the boards are being changed by another process", patience=5.0):
        board = find(name)
        _write({other: entry for other, entry in boards().items() if other != name})
    return board


def _write(known: dict[str, Board]) -> None:
    entries = {name: {k: v for k, v in asdict(board).items() if k != "name"} for name, board in known.items()}
    write_text(file(), json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
