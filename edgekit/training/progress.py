"""What a person sees of a long stage: a bar on a terminal, one line per interval elsewhere, JSON lines in the run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

Values = Callable[[], dict[str, float]]


class Progress:
    """Progress of one stage on stderr.

    ``step(done, values)``: ``values`` is called only when something is printed, so that a GPU need not be waited for at
    every step; a value whose name ends in " loss" is a term of the loss, for the log alone. ``waited`` is the seconds
    so far that the stage stood still for its data. ``log`` is a JSON-lines file.
    """

    def __init__(self, title: str, log: Path | None = None, *, interval: float = 10.0, stream=None):
        self.title = title
        self._log = log
        self._stream = stream or sys.stderr
        self._bar: Bar | None = None
        self._interval = 0.5 if self._stream.isatty() else interval
        self._logged = interval
        self.waiting: float | None = None  # share of the time spent waiting for data

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def begin(self, total: int, start: int = 0) -> None:
        self._total, self._start, self._done = total, start, start
        self._began = self._shown_at = self._logged_at = time.monotonic()
        if start:
            self._line(f"{self.title}: continues at {start} of {total}")
        if self._stream.isatty():
            columns = [
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
            ]
            console = Console(file=self._stream)
            self._bar = Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(self.title, total=total, completed=start, note="")
            self._bar.start()

    def step(self, done: int, values: Values = dict, *, waited: float | None = None) -> None:
        self._done = done
        now = time.monotonic()
        if now - self._shown_at < self._interval and done < self._total:
            return
        self._shown_at = now
        elapsed = max(now - self._began, 1e-9)
        rate = (done - self._start) / elapsed
        facts = values()
        if waited is not None:
            self.waiting = facts["waiting"] = round(waited / elapsed, 4)
        note = " ".join([f"{rate:.1f}/s", *(_say(k, v) for k, v in facts.items() if not k.endswith(" loss"))])
        if self._bar:
            self._bar.update(self._task, completed=done, note=note)
        else:
            left = (self._total - done) / rate if rate else 0.0
            self._line(f"{self.title}: {done}/{self._total} {note} eta {left:.0f} s")
        if self._log and (now - self._logged_at >= self._logged or done == self._total or done == self._start + 1):
            self._logged_at = now
            entry = {"stage": self.title, "step": done, "seconds": round(elapsed, 3), "rate": rate, **facts}
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with open(self._log, "a") as file:
                file.write(json.dumps(entry) + "\n")

    def count(self, done: int, total: int) -> None:
        """The form of a plain callback: begins by itself."""
        if done <= 1 or not hasattr(self, "_total"):
            self.begin(total)
        self.step(done)

    def end(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _say(name: str, value: float) -> str:
    return f"{name} {value:.0%}" if name == "waiting" else f"{name} {value:.4g}"
