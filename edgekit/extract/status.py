"""How far a result is, and whether its files are whole: from the folder alone, without films and experts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from edgekit.data.dronescapes.description import read_description
from edgekit.data.dronescapes.files import read_map
from edgekit.errors import EdgekitError
from edgekit.extract.files import Failure, Tree, key_in, key_of, read_failures
from edgekit.extract.record import FilmRecord, PlanRecord, read_plan, read_rates, read_record
from edgekit.tasks import kind_of

_READERS = 4


@dataclass
class Cell:
    """Of ``frames``, how many maps of a task and film are current, outdated and failed; the others are missing.

    Current (``done``): made under today's key. Outdated (``stale``): made under another one.
    """

    frames: int = 0
    done: int = 0
    stale: int = 0
    failed: int = 0

    @property
    def missing(self) -> int:
        return self.frames - self.done - self.stale - self.failed


@dataclass
class Status:
    """``cells`` by (set, film) and task; ``unread`` films whose frames are not known yet; ``rates`` in maps a second;
    ``extra`` files of frames that the pipeline does not take (any more)."""

    tasks: list[str]
    cells: dict[tuple[str, str], dict[str, Cell]] = field(default_factory=dict)
    unread: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    extra: int = 0

    @property
    def complete(self) -> bool:
        cells = [cell for film in self.cells.values() for cell in film.values()]
        return not self.unread and not self.failures and all(cell.done == cell.frames for cell in cells)


def status(out: Path) -> Status:
    """EdgekitError where ``out`` is no result of `edgekit data extract`. Looks at the end of each file alone."""
    plan = read_plan(out)
    tree = plan.tree(out)
    found = Status(tasks=list(plan.keys), failures=[])
    known: set[tuple[str, str]] = set()
    for folder, film in plan.films:
        record = read_record(out, folder, film)
        if record is None:
            found.unread.append((folder, film))
            continue
        known.update((folder, name) for name in record.names)
        found.cells[folder, film] = {task: _cell(tree, plan, record, task) for task in plan.keys}
    for failure in read_failures(out):
        film = (failure.folder, failure.film)
        cell = found.cells.get(film, {}).get(failure.task)
        there = failure.frame and key_in(tree.file(failure.folder, failure.task, failure.frame)) is not None
        wanted = not failure.frame or film in found.unread or (cell and (failure.folder, failure.frame) in known)
        if film in plan.films and wanted and not there:
            found.failures.append(failure)
            if failure.frame and cell:
                cell.failed += 1
    made: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for rates in read_rates(out):
        for task, (count, took) in rates.items():
            made[task] += count
            seconds[task] += took
    found.rates = {task: made[task] / seconds[task] for task in plan.keys if seconds[task] > 0}
    unread = {folder for folder, _ in found.unread}
    for folder in sorted({folder for folder, _ in plan.films} - unread):
        for task in plan.keys:
            found.extra += sum((folder, name) not in known for name in tree.names(folder, task))
    return found


def _cell(tree: Tree, plan: PlanRecord, record: FilmRecord, task: str) -> Cell:
    cell, following = Cell(), plan.following(task)
    of_film = plan.of_films.get(task, {}).get(record.film, [])
    key = cache(lambda identity: key_of(plan.keys[task], identity, *of_film))
    for shot in record.shots():
        if task in plan.ahead and shot.next is None:
            continue
        cell.frames += 1
        there = key_in(tree.file(record.folder, task, shot.name))
        current = key(shot.identity_with(following))
        cell.done += there == current
        cell.stale += there is not None and there != current
    return cell


@dataclass
class Verification:
    """Files that were read to their last byte, and those that are no map of their task: path -> why."""

    files: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    removed: int = 0


def verify(out: Path, *, remove: bool = False, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read every map: its checksum, its type, shape and range as the folder's description says, its frame's size.

    ``remove``: the bad ones, so that the next extraction makes them again. EdgekitError as of ``status``.
    """
    plan = read_plan(out)
    tree = plan.tree(out)
    description = read_description(out)
    if description is None:
        raise EdgekitError("the folder has no description", where=str(out), fix="extract again: it writes one")
    sets = sorted({folder for folder, _ in plan.films})
    names = {folder: {name for task in plan.keys for name in tree.names(folder, task)} for folder in sets}
    frames = [(folder, name) for folder in sets for name in sorted(names[folder])]

    def check(at: tuple[str, str]) -> tuple[int, dict[str, str]]:
        folder, name = at
        files, bad, sizes = 0, {}, {}
        for task in plan.keys:
            path = tree.file(folder, task, name)
            if not os.path.lexists(path):
                continue
            files += 1
            try:
                native = read_map(description.tasks[task], path)
                kind_of(description.tasks[task]).validate(description.tasks[task], native, path)
                sizes[path] = native.shape[:2]
            except EdgekitError as error:
                bad[path] = error.what
        usual = sizes.get(tree.file(folder, "rgb", name)) or next(iter(sizes.values()), None)
        bad |= {p: f"its size is {s}, and the frame's {usual}" for p, s in sizes.items() if s != usual}
        return files, bad

    found = Verification()
    with ThreadPoolExecutor(_READERS) as readers:
        for count, (files, bad) in enumerate(readers.map(check, frames), 1):
            found.files += files
            found.bad |= bad
            if progress:
                progress(count, len(frames))
    if remove:
        for path in found.bad:
            os.unlink(path)
            found.removed += 1
    return found
