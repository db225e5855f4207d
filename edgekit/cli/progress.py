"""Progress bars of the device half's commands, on stderr; silent where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgekit.frames.terminal import console


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A function (what is being done, 0 to 1) that draws one bar per name."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:12}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console(sys.stderr), disable=not sys.stderr.isatty(), transient=True) as shown:
        tasks = {}

        def update(name: str, done: float) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=1.0)
            shown.update(tasks[name], completed=done)

        yield update
