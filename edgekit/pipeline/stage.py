"""A stage's folder: named by the hash of all it depends on, locked while worked on, marked when whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, remove_parts, sha256, writing
from edgekit.training.distributed import world
from edgekit.training.progress import note

PATIENCE = 15.0
"""Seconds that a held stage is waited for: a worker whose parent was killed still writes its checkpoint."""


class Stage:
    """``folder`` = ``root/<name>-<key>``. ``done.json`` in it says that it is whole and what its files must hash to."""

    def __init__(self, root: Path, name: str, key: str):
        self.name, self.key = name, key
        self.folder = root / f"{name}-{key}"

    @property
    def _marker(self) -> Path:
        return self.folder / "done.json"

    def result(self) -> dict[str, Any] | None:
        """What ``finish`` was given, or None where the stage must (still) run: never done, or its files changed."""
        try:
            done = json.loads(self._marker.read_text())
            intact = all(sha256(self.folder / name) == digest for name, digest in done["files"].items())
            # a marker of before there were digests has none
            return done["result"] if intact and done.get("digest", _digest(done)) == _digest(done) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no marker, or not one that we wrote
            return None

    def finish(self, result: dict[str, Any], files: list[str]) -> None:
        """Mark the stage whole, in the first process alone.

        ``files`` (relative names) are those later stages read; their hashes are kept.
        """
        if not world().first:
            return
        done = {
            "stage": self.name,
            "key": self.key,
            "result": result,
            "files": {name: sha256(self.folder / name) for name in files},
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        done["digest"] = _digest(done)
        with atomic_write(self._marker) as part:
            part.write_text(json.dumps(done, indent=2))

    @contextmanager
    def unless_done(self) -> Iterator[bool]:
        """Whether the block has to do the stage, which it then holds. Done stages are not locked: many may read.

        Where processes run together the first one decides, holds and finishes it; the others leave the block when it is
        finished.
        """
        together = world()
        with ExitStack() as held:
            todo = together.lead(f"the stage '{self.name}'", lambda: self._begin(held))
            yield todo
        if todo:
            together.wait(f"the end of the stage '{self.name}'")

    def _begin(self, held: ExitStack) -> bool:
        if self.result() is not None:
            return False
        held.enter_context(self.locked())
        todo = self.result() is None  # another run may have finished it in between
        if todo and self._marker.exists():
            note(self.name, f"what was stored in {self.folder} is damaged, and is made again")
        return todo

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stage against other processes; what killed ones left half-written is removed.

        EdgekitError where another run holds it, or where the folder cannot be written.
        """
        with locked(self.folder, f"another run is working on the stage '{self.name}'", patience=PATIENCE):
            yield


@contextmanager
def locked(folder: Path, taken: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold a folder, made where it is missing. The kernel lets go of the lock when its holder dies, however it dies.

    EdgekitError saying ``taken`` where another process still holds it after ``patience`` seconds, or where the folder
    cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # not inherited by the processes that are started meanwhile, which may outlive this one
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, folder, taken, patience)
        remove_parts(folder)
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path, taken: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 100, 0).decode(errors="replace").strip()
                raise EdgekitError(
                    f"{taken} ({holder})" if holder else taken,
                    where=str(folder),
                    fix="wait for it to end, or give this run another folder with --out",
                ) from None
            time.sleep(0.1)
    with writing(folder):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)


def _digest(done: dict[str, Any]) -> str:
    """The SHA-256 of what a marker says beside its digest."""
    rest = {key: value for key, value in done.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
