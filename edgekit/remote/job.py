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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.frames.names import components
from edgekit.remote.agent import FOLDER
from edgekit.remote.connection import Connection

OUTPUT = "output"
"""Where a command leaves what comes back, in the folder that it runs in."""
_PATH = f"{FOLDER}/venv/bin:/usr/local/cuda/bin:/usr/src/tensorrt/bin"
Bars = Callable[[], AbstractContextManager[Callable[[str, float], None]]]


@dataclass(frozen=True)
class BoardStep:
    """words    of the command; ``FOLDER`` in them stands for the board's folder
    say      is printed before it, as it is
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


def perform(
    connection: Connection,
    what: str,
    steps: list[BoardStep],
    copies: list[Copy],
    bars: Bars,
    collect: Callable[[str], Any] = lambda output: None,
) -> tuple[list[int], str]:
    """Copy what changed, run ``steps`` and show what they print on stderr as it comes; their exit codes and stdout.

    The same job that runs already, or that ended within the last hour while the connection was lost, is joined instead.
    collect  gets the folder of ``OUTPUT`` there, before that is removed
    EdgekitError where the board is busy, full or lost. KeyboardInterrupt where Ctrl-C stopped it there; a second one
    leaves at once.
    """
    name = connection.board.name
    digests = [{file: sha256(path) for file, path in copy.files.items()} for copy in copies]
    who = f"{getpass.getuser()}@{platform.node()}"
    listed = [step.__dict__ for step in steps]
    job = hashlib.sha256(json.dumps([who, listed, digests]).encode()).hexdigest()[:16]
    state = connection.ask("take", id=job, who=who, what=what)["state"]
    if state == "free":
        with bars() as tell:
            for copy, found in zip(copies, digests, strict=True):
                _copy(connection, copy, found, tell)
        terminals = {"out": sys.stdout.isatty(), "err": sys.stderr.isatty()}
        env = {"PATH": _PATH, "PYTHONUNBUFFERED": "1"}
        if terminals["err"]:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            env.update(TERM=os.environ.get("TERM", "xterm"), COLUMNS=str(columns))
        connection.ask("start", steps=listed, env=env, terminals=terminals)
    else:
        show(sys.stderr, f"edgekit: on '{name}' this {state} already, started before; it is taken up\n")
    ended, stdout = _watch(connection)
    codes = ended["codes"]
    if not codes:
        what = f"board '{name}': the command ended there without a result: it was killed, or the disk is full"
        raise EdgekitError(
            what,
            where=f"{name}: jobs/{job}",
            fix="`sudo dmesg | tail` there tells whether memory ran out, `df` how full the disk is",
        )
    collect(f"jobs/{job}/{OUTPUT}")
    connection.ask("forget")
    if ended["stopped"] and (codes[-1] or len(codes) < len(steps)):  # a camera is ended by Ctrl-C, with a result
        raise KeyboardInterrupt
    return codes, stdout


def bring(connection: Connection, folder: str, target: Callable[[str], Path], end: str = "") -> list[Path]:
    """Copy the files below ``folder`` there whose names end so to ``target(name)`` here; all of them, copied or not."""
    brought = []
    for name, digest in sorted(connection.ask("listing", folder=folder, end=end)["files"].items()):
        here = target(components(name, what="the board's file", where=connection.board.host))
        if not here.is_file() or sha256(here) != digest:
            connection.get(f"{folder}/{name}", here, digest)
        brought.append(here)
    return brought


def show(stream: Any, text: str) -> None:
    """Print unchanged; control codes are kept on a terminal, since the board formatted the output for it."""
    (getattr(stream, "styled", stream) if stream.isatty() else stream).write(text)
    stream.flush()


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
                show(sys.stderr, text)
    return answer["ended"], "".join(stdout)


@contextmanager
def _stopping(connection: Connection) -> Iterator[None]:
    """Ctrl-C is handed on to the board; the second one is for this process."""

    def handle(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        connection.send({"do": "stop"})
        with contextlib.suppress(RuntimeError):  # in the middle of another write
            show(sys.stderr, "edgekit: stopping it on the board; Ctrl-C again does not wait for that\n")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
