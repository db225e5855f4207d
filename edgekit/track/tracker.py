"""The interface of what shows a run, and how a run's log reaches it."""

from __future__ import annotations

import json
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import writing
from edgekit.parts import Parts

_SECONDS = 2.0
_NOT_MEASURED = ("stage", "step", "seconds")


class Tracker(ABC):
    """Writes what another program shows. ``Tracker(folder, name)``: an empty folder of its own, and the run's name.

    EdgekitError where its package is not installed.
    """

    @abstractmethod
    def __init__(self, folder: Path, name: str): ...

    @abstractmethod
    def scalars(self, series: str, step: int, values: Mapping[str, float]) -> None:
        """Values at a step of a series: a stage of training, or at step 0 the scores of a model."""

    @abstractmethod
    def picture(self, name: str, path: Path) -> None:
        """A picture in a file."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""


TRACKERS: Parts[type[Tracker]] = Parts(
    "edgekit.trackers",
    "tracker",
    {"tensorboard": "edgekit.track.tensorboard:TensorBoard"},
    base=Tracker,
    classes=True,
)


class Track:
    """Hands the log of a run on to a tracker: what it holds already, what is appended while the run goes on, and in
    the end the result. So the stages know of no tracker, nor do the processes that train beside each other."""

    def __init__(self, tracker: Tracker, log: Path):
        self._tracker, self._log = tracker, log
        self._read = 0  # bytes of the log
        self._stop = threading.Event()
        self._hand_on(_newest(self._entries()))
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def result(self, document: Mapping[str, Any]) -> None:
        """The scores and pictures of a finished run, the content of ``result.json``."""
        for model, tasks in document.get("scores", {}).items():
            named = {f"{task}/{metric}": value for task, scores in tasks.items() for metric, value in scores.items()}
            self._tracker.scalars(f"scores {model}", 0, _numbers(named))
        for path in map(Path, document.get("pictures", ())):
            self._tracker.picture(path.stem, path)

    def stop(self) -> None:
        """Hand on the rest of the log; nothing follows it afterwards."""
        self._stop.set()
        self._thread.join()
        self._hand_on(self._entries())

    def _follow(self) -> None:
        while not self._stop.wait(_SECONDS):
            self._hand_on(self._entries())

    def _entries(self) -> list[dict[str, Any]]:
        """The lines of training that were appended since the last call; a line that is not whole stays for later."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                text, whole, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._read += len(text) + len(whole)
        found = []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # a line that a killed process cut off
                continue
            if isinstance(entry, dict) and "loss" in entry and isinstance(entry.get("step"), int):
                found.append(entry)
        return found

    def _hand_on(self, entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            values = {name: value for name, value in entry.items() if name not in _NOT_MEASURED}
            self._tracker.scalars(str(entry["stage"]), entry["step"], _numbers(values))


def _newest(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the steps of a stage that were done again after an interruption."""
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    for entry in entries:
        kept.pop((entry["stage"], entry["step"]), None)
        kept[entry["stage"], entry["step"]] = entry
    return sorted(kept.values(), key=lambda entry: entry["step"])


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in values.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}


@contextmanager
def tracked(run: Path, name: str | None) -> Iterator[Track | None]:
    """Show a run's folder with the tracker of this name, in a folder of the same name that is written anew; None: with
    none. EdgekitError where there is no such tracker, or its package is not installed."""
    if name is None:
        yield None
        return
    kind = TRACKERS[name]
    folder, before = run / name, run / f".{name}-before"
    with writing(folder):
        shutil.rmtree(before, ignore_errors=True)
        if folder.exists():
            folder.rename(before)
        folder.mkdir(parents=True)
    try:
        tracker = kind(folder, run.name)
    except EdgekitError:
        shutil.rmtree(folder)
        if before.exists():
            before.rename(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)
    track = Track(tracker, run / "log.jsonl")
    try:
        yield track
    finally:
        track.stop()
        tracker.close()
