"""A progress bar on stderr for a build in a child process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgekit.frames.terminal import console


@contextmanager
def watching() -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """A listener for ``edgekit.engine.build.build``: a line per engine with TensorRT's current phase."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(sys.stderr)) as progress:
        lines: dict[str, Any] = {}

        def listen(engine: str, event: dict[str, Any]) -> None:
            line = lines.setdefault(engine, progress.add_task(engine, total=None) if engine not in lines else None)
            if "progress" in event:
                phase, done, steps = event["progress"]
                progress.update(line, description=f"{engine}: {phase}", completed=done, total=steps or None)
            elif "started" in event:
                silent = "" if event["started"]["monitored"] else " (this TensorRT does not say how far it is)"
                progress.update(line, description=f"{engine}: building{silent}")
            elif "checking" in event:
                progress.update(line, description=f"{engine}: golden frames and timing", completed=0, total=None)

        yield listen
