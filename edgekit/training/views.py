"""Where progress is shown: bars on a terminal, lines elsewhere, JSON for a parent process that shows it."""

from __future__ import annotations

import json
import os
from typing import TextIO

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from edgekit.frames.terminal import console
from edgekit.training.distributed import rank

FORWARD = "EDGEKIT_PROGRESS_SECONDS"
"""Set in a worker's environment: print JSON lines for the parent, at this interval."""


class ProgressView:
    """Shows the progress of any number of stages, every ``interval`` seconds at most. This one shows nothing: of
    processes that train together only the first one prints."""

    interval = 3600.0

    def show(self, title: str, done: int, total: int, note: str, eta: float | None) -> None:
        """``done`` of ``total`` steps; ``eta``: seconds left, None where that is not known."""

    def note(self, title: str, text: str) -> None:
        """A message about a stage."""

    def close(self) -> None:
        """Leave the stream as it was found."""


class LineView(ProgressView):
    """One line at a time, for logs."""

    interval = 10.0

    def __init__(self, stream: TextIO):
        self._stream = stream

    def show(self, title: str, done: int, total: int, note: str, eta: float | None) -> None:
        left = "" if eta is None else f" eta {eta:.0f} s"
        print(f"{title}: {done}/{total} {note}{left}", file=self._stream, flush=True)

    def note(self, title: str, text: str) -> None:
        print(f"{title}: {text}", file=self._stream, flush=True)


class BarView(ProgressView):
    """A bar per stage, redrawn in place."""

    interval = 0.5

    def __init__(self, stream: TextIO):
        columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
        times = [TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False)]
        self._bars = Bars(*columns, *times, console=console(stream))
        self._tasks: dict[str, int] = {}

    def show(self, title: str, done: int, total: int, note: str, eta: float | None) -> None:
        if not self._tasks:
            self._bars.start()
        if title not in self._tasks:
            self._tasks[title] = self._bars.add_task(title, total=total, note="")
        self._bars.update(self._tasks[title], completed=done, total=total, note=note)

    def note(self, title: str, text: str) -> None:
        self._bars.console.print(f"{title}: {text}")

    def close(self) -> None:
        self._bars.stop()


class JsonView(ProgressView):
    """One JSON object per line: the method of the parent's view to call, and its arguments."""

    def __init__(self, stream: TextIO, interval: float):
        self._stream = stream
        self.interval = interval

    def show(self, *shown: str | int | float | None) -> None:
        print(json.dumps({"show": shown}), file=self._stream, flush=True)

    def note(self, *noted: str) -> None:
        print(json.dumps({"note": noted}), file=self._stream, flush=True)


def view_for(stream: TextIO) -> ProgressView:
    """The view that fits where the text goes."""
    if rank():
        return ProgressView()
    if FORWARD in os.environ:
        return JsonView(stream, float(os.environ[FORWARD]))
    return BarView(stream) if stream.isatty() else LineView(stream)


def forward(line: str, view: ProgressView) -> bool:
    """Show what a ``JsonView`` printed; False where the line is something else."""
    try:
        ((method, arguments),) = json.loads(line).items()
        {"show": view.show, "note": view.note}[method](*arguments)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return True
