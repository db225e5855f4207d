"""Candidates that are a formula, for one process or several: ``python fake_study.py FOLDER COUNT``."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from edgekit.errors import EdgekitError
from edgekit.search.study import Search, open_study


class Widths:
    """A part of a space."""

    values = ("1", "2", "3", "4", "5", "6", "7", "8")

    def suggest(self, trial, key):
        return trial.suggest_categorical(key, self.values)


@dataclass(frozen=True)
class Cost:
    ms: float
    band_ms: None = None
    memory: int = 0
    parameters: int = 0


@dataclass
class Candidate:
    """Wider is slower and better; seed decides among equal ones. ``calls``: (width, seed, steps), as they come."""

    width: int
    seed: int
    calls: list = field(default_factory=list)

    def cost(self):
        return Cost(self.width)

    def score(self, steps):
        self.calls.append((self.width, self.seed, steps))
        return self.width + self.seed / 100

    def final_score(self, steps):
        return self.width + self.seed / 100


class Bar:
    """A progress bar that keeps what it was told."""

    def __init__(self):
        self.shown, self.notes = [], []

    def begin(self, total, start=0):
        self.shown.append(start)

    def step(self, done):
        self.shown.append(done)

    def note(self, text):
        self.notes.append(text)


SPACE = {"width": Widths(), "seed": Widths()}
RUNGS = [10, 30, 90]


def open_fake(folder: Path, beat: int = 20, **about):
    url = f"sqlite:///{folder / 'study.db'}"
    return open_study("fake", url, {"recipe": "r", **about}, RUNGS, maximise=True, beat=beat)


def search(study, *, budget=6, calls=None, build=None) -> Search:
    calls = [] if calls is None else calls

    def usual(number, values):
        if values["seed"] == "8":
            raise EdgekitError("a seed of 8 makes no network")
        return Candidate(int(values["width"]), int(values["seed"]), calls)

    return Search(study, SPACE, budget, RUNGS, build or usual)


class Slow(Candidate):
    """Each training takes half a second, and for ever where the process was told to hold."""

    folder = Path()

    def score(self, steps):
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            log.write(f"{os.getpid()} {self.width} {self.seed} {steps}\n")
        while (self.folder / f"hold-{os.getpid()}").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        return super().score(steps)


if __name__ == "__main__":
    Slow.folder = Path(sys.argv[1])
    if sys.argv[3:] == ["hold"]:
        (Slow.folder / f"hold-{os.getpid()}").touch()
    work = search(open_fake(Slow.folder, beat=1), build=lambda number, v: Slow(int(v["width"]), int(v["seed"])))
    work.run(int(sys.argv[2]), SimpleNamespace(begin=print, step=print, note=print))
