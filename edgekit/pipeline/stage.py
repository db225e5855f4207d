"""A stage's folder: named by the hash of all it depends on, locked while it is worked on, marked when complete."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

from edgekit import limits
from edgekit.data.check import DataReport
from edgekit.data.statistics import Statistics
from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256, write_text
from edgekit.frames.locks import locked
from edgekit.frames.names import components
from edgekit.frames.outside import open_regular, read_json
from edgekit.frames.typed import Misfit, as_typed
from edgekit.training.distributed import world
from edgekit.training.progress import note

DELETE = "delete the stage's folder, and run again"
ELSEWHERE = "wait for it to end, or give this run another folder with --out"
PATIENCE = 15.0
"""Seconds to wait for a locked stage: a worker whose parent was killed still writes its checkpoint."""


FORMATS = {
    **{"check": 4, "statistics": 2, "class-weights": 2, "scores": 3},
    **{"teacher": 4, "trial": 5, "targets": 3, "baseline": 4, "student": 4},
}
"""Kind of stage → a number to raise when what it computes changes, so that results of older code are not used."""


class _Done(TypedDict):
    result: dict[str, Any]
    files: dict[str, str]
    digest: str


class _Weights(TypedDict):
    weights: list[float]


class _Trained(TypedDict):
    seconds: float


class _Targets(TypedDict):
    frames: int
    members: int
    seconds: float
    bytes_per_frame: int


class _Trial(TypedDict):
    task: str
    held_back: int
    labelled: int
    scores: dict[Literal["single_all", "ensemble", "baseline"], float | None]
    difference: float | None
    error: float | None
    verdict: Literal["better", "worse", "unclear"]
    seconds: float


_RESULTS: dict[str, Any] = {
    **{"check": DataReport, "statistics": Statistics, "class-weights": _Weights, "targets": _Targets, "trial": _Trial},
    **dict.fromkeys(("teacher", "baseline", "student"), _Trained),
}
"""Kind of stage → what its result holds. Others hold any mapping."""


class Stage:
    """``folder`` = ``root/<name>-<key>``. Its ``done.json`` marks it complete: result, and hashes of its files."""

    def __init__(self, root: Path, name: str, key: str):
        self.name, self.key = name, key
        self.folder = root / f"{name}-{key}"

    @property
    def _marker(self) -> Path:
        return self.folder / "done.json"

    def result(self) -> dict[str, Any] | None:
        """The result given to ``finish``; None where the stage must run: it never did, or its files have changed."""
        try:
            done = as_typed(_Done, read_json(self._marker), "done.json")
            as_typed(_RESULTS.get(self.name, dict), done["result"], "done.json: result")
            whole = done["digest"] == _digest(done) and all(self._holds(*file) for file in done["files"].items())
            return done["result"] if whole else None
        except (OSError, Misfit, EdgekitError):  # no marker, or a damaged one
            return None

    def _holds(self, name: str, digest: str) -> bool:
        """Whether the file is there, a regular one inside the folder, with this SHA-256."""
        path = self.folder / components(name)
        open_regular(path, most=limits.CHECKPOINT_BYTES).close()
        return sha256(path) == digest

    def result_or(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored result; if nothing is stored, what ``work`` returns in the first process, which is then stored."""
        with self.unless_done() as todo:
            if todo and world().first:
                self.finish(work(), [])
        return self.result()

    def finish(self, result: dict[str, Any], files: list[str]) -> None:
        """Mark the stage complete; other processes than the first do nothing.

        ``files``: names, relative to the folder, of the files that later stages read. Their hashes are stored.
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
        """Whether the block has to do the stage, which is then locked. Finished stages are not locked: many may read.

        Where processes run together, the first one decides, locks and finishes the stage; the others leave the block
        when it is finished.
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
            note(self.name, f"the files in {self.folder} are damaged; the stage runs again")
        return todo

    def locked(self) -> AbstractContextManager[None]:
        """Lock the stage against other processes; half-written files of killed processes are removed.

        EdgekitError where another run holds it, or where the folder cannot be written.
        """
        taken = f"another run is working on the stage '{self.name}'"
        return locked(self.folder, taken, fix=ELSEWHERE, patience=PATIENCE)


def _digest(done: dict[str, Any]) -> str:
    """The SHA-256 of a marker's content without its digest."""
    rest = {key: value for key, value in done.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
