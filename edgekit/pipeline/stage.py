"""A stage's folder: named by the hash of all it depends on, locked while worked on, marked when whole."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edgekit.frames.files import sha256, write_text
from edgekit.frames.locks import locked
from edgekit.training.distributed import world
from edgekit.training.progress import note

ELSEWHERE = "wait for it to end, or give this run another folder with --out"
PATIENCE = 15.0
"""Seconds that a held stage is waited for: a worker whose parent was killed still writes its checkpoint."""


FORMATS = {
    **{"check": 3, "statistics": 2, "class-weights": 2, "scores": 2},
    **{"teacher": 2, "trial": 1, "targets": 2, "baseline": 2, "student": 2},
}
"""Kind of stage → a number to raise when what it computes changes, so that what older code stored is not served."""


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
            return done["result"] if intact and done["digest"] == _digest(done) else None
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
        write_text(self._marker, json.dumps(done, indent=2))

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

    def locked(self) -> AbstractContextManager[None]:
        """Hold the stage against other processes; what killed ones left half-written is removed.

        EdgekitError where another run holds it, or where the folder cannot be written.
        """
        taken = f"another run is working on the stage '{self.name}'"
        return locked(self.folder, taken, fix=ELSEWHERE, patience=PATIENCE)


def _digest(done: dict[str, Any]) -> str:
    """The SHA-256 of what a marker says beside its digest."""
    rest = {key: value for key, value in done.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
