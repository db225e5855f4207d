"""Progress bars on stderr of commands that build, measure and run; silent where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.frames.terminal import console

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def bars(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """An empty set of bars; ``transient``: they go when they are done."""
    from rich.progress import Progress

    return Progress(*columns, console=console(sys.stderr), disable=not sys.stderr.isatty(), transient=transient)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A function (what is being done, 0 to 1) that draws one bar per name."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:12}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with bars(*columns, transient=True) as shown:
        tasks = {}

        def update(name: str, done: float) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=1.0)
            shown.update(tasks[name], completed=done)

        yield update
