"""The boards a user has named: one JSON file in the user's config folder."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home, write_text
from edgekit.frames.locks import locked
from edgekit.frames.outside import read_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_HOST = re.compile(r"(?![-@])\S*[^\s@]")  # a user's name may hold an @
_BUSY = "another process is changing the boards"


@dataclass(frozen=True)
class RemoteBoard:
    """``host`` as ssh takes it: ``user@host``, or a Host of ~/.ssh/config. ``folder`` there, from the home folder."""

    name: str
    host: str
    folder: str


def file() -> Path:
    """``$XDG_CONFIG_HOME/edgekit/boards.json``, else ``~/.config/edgekit/boards.json``."""
    return expand_home(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "edgekit" / "boards.json"


def boards() -> dict[str, RemoteBoard]:
    """By name. EdgekitError where the file is damaged."""
    try:
        listed = [RemoteBoard(**entry) for entry in read_json(file(), what="the file of boards")]
        for board in listed:
            _check(board, str(file()))
        return {board.name: board for board in listed}
    except FileNotFoundError:
        return {}
    except TypeError:
        fix = "correct it, or remove it and add the boards again"
        raise EdgekitError("the file of boards is no list of boards", where=str(file()), fix=fix) from None


def _check(board: RemoteBoard, where: str) -> None:
    """EdgekitError for a board that cannot be; TypeError for what is no text."""
    if not _NAME.fullmatch(board.name):
        fix = "use letters, digits, '.', '_' and '-'"
        raise EdgekitError(f"'{board.name}' is no name for a board", where=where, fix=fix)
    if not _HOST.fullmatch(board.host):
        fix = "give USER@HOST, or a Host of ~/.ssh/config"
        raise EdgekitError(f"'{board.host}' is no address", where=where, fix=fix)
    if os.path.normpath(board.folder).strip("/~") in ("", ".", "..") or board.folder != board.folder.strip():
        what = f"'{board.folder}' is no folder that edgekit may have for itself: it removes there what it does not know"
        raise EdgekitError(what, where=where, fix="name a folder of its own, such as edgekit or /mnt/nvme/edgekit")


def find(name: str) -> RemoteBoard:
    """EdgekitError, listing those there are, where no board has that name."""
    known = boards()
    if name not in known:
        fix = f"use one of {', '.join(known)}" if known else f"edgekit board add {name} USER@HOST"
        raise EdgekitError(f"there is no board called '{name}'", where=str(file()), fix=fix)
    return known[name]


def add(board: RemoteBoard) -> None:
    """Add a board. EdgekitError if its name, address or folder is invalid, or if another board has that name."""
    _check(board, "edgekit board add")
    with locked(file().parent, _BUSY, patience=5.0):
        known = boards()
        if (there := known.get(board.name, board)) != board:
            fix = f"take another name, or first: edgekit board remove {board.name}"
            raise EdgekitError(f"there is a board '{board.name}' already: {there.host}", where=str(file()), fix=fix)
        _write({**known, board.name: board})


def remove(name: str) -> RemoteBoard:
    """Forget a board; nothing is done there. EdgekitError if no board has that name."""
    with locked(file().parent, _BUSY, patience=5.0):
        board = find(name)
        _write({other: entry for other, entry in boards().items() if other != name})
    return board


def _write(known: dict[str, RemoteBoard]) -> None:
    text = json.dumps([board.__dict__ for board in known.values()], indent=1, ensure_ascii=False)
    write_text(file(), text + "\n")
