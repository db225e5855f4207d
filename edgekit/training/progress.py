"""How far a long stage is: rate, time left, loss and current metric, on stderr and as JSON lines in the run."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from edgekit.frames.files import writing
from edgekit.training.distributed import rank
from edgekit.training.views import view_for

LOG_SECONDS = 10.0


class Progress(AbstractContextManager):
    """Progress of one stage.

    ``step(done, values)``: ``values`` is called only when something is shown, so that not every step waits for the GPU;
    a value whose name ends in " loss" is a term of the loss, for the log alone. ``waited``: seconds so far in which the
    stage waited for its data. ``log``: a JSON-lines file. ``total``: the number of steps, for a stage that begins now.
    """

    def __init__(
        self,
        title: str,
        log: Path | None = None,
        total: int = 0,
        *,
        interval: float | None = None,
        stream: TextIO | None = None,
    ):
        self.title = title
        self._log = log if rank() == 0 else None
        self._view = view_for(stream or sys.stderr)
        self._interval = self._view.interval if interval is None else interval
        self.waiting: float | None = None  # share of the time spent waiting for data
        self._log_interval = LOG_SECONDS if interval is None else interval
        self.begin(total)

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def seconds(self) -> float:
        """Time that the stage has taken, in this process and in those it continues."""
        return self._spent + time.monotonic() - self._began

    def begin(self, total: int, start: int = 0, *, spent: float = 0.0) -> None:
        """``start`` of ``total`` steps are done already, in ``spent`` seconds."""
        self._total, self._start, self._spent = total, start, spent
        self._began = self._shown_at = time.monotonic()
        self._logged_at = -math.inf
        if start:
            self._view.show(self.title, start, total, "continues", None)

    def step(self, done: int, values: Callable[[], dict[str, float]] = dict, *, waited: float | None = None) -> None:
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
        self._view.show(self.title, done, self._total, note, (self._total - done) / rate if rate else 0.0)
        if self._log and (now - self._logged_at >= self._log_interval or done == self._total):
            self._logged_at = now
            self._write({"stage": self.title, "step": done, "seconds": round(self.seconds, 3), "rate": rate, **facts})

    def note(self, text: str) -> None:
        """Show a message, and write it to the log."""
        self._view.note(self.title, text)
        self._write({"stage": self.title, "note": text})

    def count(self, done: int, total: int) -> None:
        """A plain callback ``(done, total)``, which calls ``begin`` by itself."""
        if done <= 1 or not self._total:
            self.begin(total)
        self.step(done)

    def end(self) -> None:
        self._view.close()

    def _write(self, entry: dict) -> None:
        if self._log:
            with writing(self._log):
                self._log.parent.mkdir(parents=True, exist_ok=True)
                with open(self._log, "a", encoding="utf-8") as file:  # one short write: workers append to the same file
                    file.write(json.dumps(entry) + "\n")


def note(title: str, text: str) -> None:
    """``Progress.note`` where there is no progress to show."""
    view_for(sys.stderr).note(title, text)


def _say(name: str, value: float) -> str:
    return f"{name} {value:.0%}" if name == "waiting" else f"{name} {value:.4g}"
