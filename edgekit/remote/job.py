"""A job on a board: what must lie there, what runs, and what comes back."""

from __future__ import annotations

import codecs
import contextlib
import getpass
import hashlib
import json
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.remote.agent import FOLDER
from edgekit.remote.connection import Connection

_PATH = f"{FOLDER}/venv/bin:/usr/local/cuda/bin:/usr/src/tensorrt/bin"
Bars = Callable[[], AbstractContextManager[Callable[[str, float], None]]]


@dataclass(frozen=True)
class Step:
    """words    of the command; ``FOLDER`` in them stands for the board's folder
    say      is printed before it
    prints   whether its stdout is the job's; else it goes where stderr goes
    go_on    whether the next step runs where this one fails
    """

    words: list[str]
    say: str = ""
    prints: bool = False
    go_on: bool = False


@dataclass(frozen=True)
class Copy:
    """``files``, name there → file here, are all that shall lie in ``folder`` there, but for what is below ``keep``."""

    folder: str
    files: dict[str, Path]
    keep: str | None = None


@dataclass(frozen=True)
class Ended:
    """``output``: where its results lie, relative to the board's folder."""

    codes: list[int]
    stopped: bool
    stdout: str
    output: str
    steps: list[Step] = field(repr=False)


def perform(connection: Connection, what: str, steps: list[Step], copies: list[Copy], bars: Bars) -> Ended:
    """Copy what changed, run ``steps`` and show what they print on stderr as it comes.

    The same job that runs already, or that ended within the last hour while the connection was lost, is joined instead.
    Ctrl-C stops it there; a second one leaves at once. EdgekitError where the board is busy, full or lost.
    """
    digests = [{name: sha256(path) for name, path in copy.files.items()} for copy in copies]
    who = f"{getpass.getuser()}@{platform.node()}"
    listed = [step.__dict__ for step in steps]
    key = json.dumps([who, listed, [[c.folder, d] for c, d in zip(copies, digests, strict=True)]])
    job = hashlib.sha256(key.encode()).hexdigest()[:16]
    state = connection.ask("take", id=job, who=who, what=what)
    name = connection.board.name
    if state["state"] == "free":
        with bars() as tell:
            for copy, found in zip(copies, digests, strict=True):
                _copy(connection, copy, found, tell)
        terminals = {"out": sys.stdout.isatty(), "err": sys.stderr.isatty()}
        env = {"PATH": _PATH, "PYTHONUNBUFFERED": "1"}
        if terminals["err"]:
            columns = str(os.get_terminal_size(sys.stderr.fileno()).columns)
            env.update(TERM=os.environ.get("TERM", "xterm"), COLUMNS=columns)
        connection.ask("start", steps=listed, env=env, terminals=terminals)
    else:
        _say(f"edgekit: on '{name}' this {state['state']} at {state['since']}, without this connection; it is taken up")
    ended, stdout = _watch(connection)
    if not ended["codes"]:
        what = "the command ended there without a result: it was killed, or the disk is full"
        fix = f"{ended['free'] >> 20} MiB are free there; `sudo dmesg | tail` there tells whether memory ran out"
        raise EdgekitError(f"board '{name}': {what}", fix=fix)
    return Ended(ended["codes"], ended["stopped"], stdout, f"jobs/{job}/output", steps)


def bring(connection: Connection, folder: str, target: Callable[[str], Path], end: str = "") -> list[Path]:
    """Copy the files below ``folder`` there whose names end so to ``target(name)`` here; all of them, copied or not."""
    brought = []
    for name, digest in sorted(connection.ask("listing", folder=folder, end=end)["files"].items()):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise EdgekitError(f"the board names a file outside its folder: {name!r}", where=connection.board.host)
        here = target(name)
        if not here.is_file() or sha256(here) != digest:
            connection.get(f"{folder}/{name}", here, digest)
        brought.append(here)
    return brought


def _copy(connection: Connection, copy: Copy, digests: dict[str, str], tell: Callable[[str, float], None]) -> None:
    needed = connection.ask("need", folder=copy.folder, files=digests, keep=copy.keep)["need"]
    whole = sum(copy.files[name].stat().st_size for name in needed) or 1
    sent = 0

    def went(size: int) -> None:
        nonlocal sent
        sent += size
        tell("copying", sent / whole)

    for name in needed:
        connection.put(copy.files[name], f"{copy.folder}/{name}", digests[name], went)


def _watch(connection: Connection) -> tuple[dict[str, Any], str]:
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("out", "err")}
    stdout = []
    connection.send({"do": "watch"})
    with _stopping(connection):
        while "ended" not in (answer := connection.answer()):
            if "tick" in answer:
                connection.send({"do": "here"})
                continue
            text = decoders[answer["stream"]].decode(connection.content(answer["bytes"]))
            if answer["stream"] == "out":
                stdout.append(text)
            else:
                _say(text, end="")
    return answer["ended"], "".join(stdout)


@contextmanager
def _stopping(connection: Connection) -> Iterator[None]:
    """Ctrl-C is handed on to the board; the second one is for this process."""

    def handle(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _say("edgekit: stopping it on the board; Ctrl-C again does not wait for that")
        with contextlib.suppress(OSError):
            connection.send({"do": "stop"})

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()
