"""Reading every frame once before anything trains: counts, shares of classes, missing tasks, bad files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from edgekit.data.source import FrameInfo, Source
from edgekit.data.values import Values
from edgekit.errors import EdgekitError, WriteError
from edgekit.tasks import Task, kind_of
from edgekit.tasks.semantic import IGNORE

MOST_LISTED = 10


@dataclass(frozen=True)
class BadFile:
    """A frame that cannot be used: ``where`` is the file, ``reason`` what is wrong with it, ``fix`` what mends it."""

    split: str
    name: str
    where: str
    reason: str
    fix: str | None = None


@dataclass
class SplitCount:
    """Frames of a split that can be read, and how many of them are labelled."""

    frames: int = 0
    labelled: int = 0


@dataclass
class Report:
    """What lies behind a recipe.

    ``splits``   split -> counts, bad files left out
    ``shares``   semantic task -> split -> class -> share of the pixels with a label, 0-1 (None: no such pixel)
    ``ignored``  semantic task -> split -> share of the pixels of labelled frames without a label
    ``missing``  task -> number of readable frames that lack it
    ``bad``      frames to leave out
    ``values``   task -> split -> what values its maps hold
    ``notes``    what a reader of the table should know of how the files were read
    """

    splits: dict[str, SplitCount] = field(default_factory=dict)
    shares: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    ignored: dict[str, dict[str, float | None]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    bad: list[BadFile] = field(default_factory=list)
    values: dict[str, dict[str, Values]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def excluded(self) -> set[str]:
        """The names of the frames to leave out."""
        return {bad.name for bad in self.bad}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Report:
        """The report that `to_json` wrote."""
        return cls(
            splits={split: SplitCount(**counts) for split, counts in document["splits"].items()},
            shares=document["shares"],
            ignored=document["ignored"],
            missing=document["missing"],
            bad=[BadFile(**bad) for bad in document["bad"]],
            values={
                task: {split: Values(**told) for split, told in by_split.items()}
                for task, by_split in document["values"].items()
            },
            notes=document["notes"],
        )

    def table(self) -> Any:
        """The report as a rich renderable."""
        from rich.console import Group

        parts = [self._count_table(), *(self._share_table(task) for task in self.shares)]
        missing = [(task, count) for task, count in self.missing.items() if count]
        if missing:
            parts.append(_table("Missing tasks", ["task", "frames without it"], missing))
        if self.bad:
            rows = [(bad.split, bad.where, bad.reason) for bad in self.bad]
            parts.append(_table(f"Bad files, skipped ({len(self.bad)})", ["split", "file", "reason"], rows))
        if self.values:
            parts.append(self._value_table())
        if self.notes:
            parts.append(_table("Notes", [""], [(note,) for note in self.notes]))
        return Group(*parts)

    def _count_table(self) -> Any:
        skipped = Counter(bad.split for bad in self.bad)
        rows = [(split, count.frames, count.labelled, skipped[split]) for split, count in self.splits.items()]
        return _table("Frames", ["split", "frames", "labelled", "bad"], rows)

    def _value_table(self) -> Any:
        headers = ["task", "split", "least", "greatest", "valid", "at the ends of its range"]
        rows = [(task, split, *v.row()) for task, by_split in self.values.items() for split, v in by_split.items()]
        return _table("Values", headers, rows)

    def _share_table(self, task: str) -> Any:
        by_split = self.shares[task]
        classes = list(next(iter(by_split.values())))
        rows = [(name, *(_percent(shares[name]) for shares in by_split.values())) for name in classes]
        rows.append(("(ignored)", *(_percent(share) for share in self.ignored[task].values())))
        return _table(f"Pixels of {task}", ["class", *by_split], rows)


@dataclass
class _Frame:
    """What one frame contributes to the report: its tasks, and pixels per class of the semantic ones."""

    info: FrameInfo
    tasks: set[str] = field(default_factory=set)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)
    bad: BadFile | None = None


class _Sums:
    """The frames seen so far, added up: memory does not grow with their number, but for the bad ones."""

    def __init__(self) -> None:
        self.bad: list[BadFile] = []
        self.counts: dict[str, SplitCount] = {}
        self.having: Counter[str] = Counter()  # task -> readable frames that have it
        self.pixels: dict[tuple[str, str], np.ndarray] = {}  # (task, split) -> pixels per value 0-255
        self.values: dict[tuple[str, str], Values] = {}

    def add(self, frame: _Frame) -> None:
        if frame.bad:
            self.bad.append(frame.bad)
            return
        count = self.counts.setdefault(frame.info.split, SplitCount())
        count.frames += 1
        count.labelled += frame.info.labelled
        self.having.update(frame.tasks)
        for name, pixels in frame.pixels.items():
            key = (name, frame.info.split)
            self.pixels[key] = self.pixels.get(key, 0) + pixels
        for name, values in frame.values.items():
            self.values.setdefault((name, frame.info.split), Values()).add(values)


def check_source(
    source: Source,
    on_bad_file: Literal["error", "skip"] = "error",
    progress: Callable[[int, int], None] | None = None,
    names: Collection[str] | None = None,
) -> Report:
    """Read every task of every frame of ``source`` once, in parallel; ``progress(done, total)`` is told of each frame.

    ``names``: the tasks that are needed, by default all; what nobody reads does no harm. A frame is bad if a file of it
    cannot be read or a map does not fit its task. With ``skip`` the report lists the bad frames, to be left out.

    Raises EdgekitError for a split without frames (before reading, or since all are bad), and with ``error`` for bad
    frames, listing the first ten; WriteError where a source cannot keep what it makes.
    """
    names = [name for name in source.tasks if names is None or name in names]
    infos = {split: source.frames(split) for split in source.splits()}
    for split, frames in infos.items():
        if not frames:
            raise EdgekitError(f"the split '{split}' has no frames", where="data", fix="add images, or drop the split")
    everything = [info for frames in infos.values() for info in frames]
    sums = _Sums()
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for done, frame in enumerate(pool.map(lambda info: _check_frame(source, info, names), everything), 1):
            sums.add(frame)
            if progress:
                progress(done, len(everything))
    if sums.bad and on_bad_file == "error":
        raise _refusal(sums.bad, len(everything))
    for split in infos:
        if split not in sums.counts:
            reason = next(b for b in sums.bad if b.split == split)
            raise EdgekitError(
                f"every frame of the split '{split}' is bad: {reason.reason}", where=reason.where, fix=reason.fix
            )
    return _summary(source, sums, names)


def _check_frame(source: Source, info: FrameInfo, names: Sequence[str]) -> _Frame:
    frame = _Frame(info)
    where = f"{info.split}/{info.name}"
    try:
        maps = source.read(info, names)
        if "rgb" not in maps:
            raise EdgekitError("the frame has no rgb, which is what the student sees", where=where)
        for name, array in maps.items():
            kind_of(source.tasks[name]).validate(source.tasks[name], array, where)
        if len({array.shape[:2] for array in maps.values()}) > 1:
            sizes = ", ".join(f"{name} {a.shape[1]}x{a.shape[0]}" for name, a in maps.items())
            raise EdgekitError(f"maps of one frame differ in size: {sizes} (width x height)", where=where)
    except WriteError:
        raise
    except EdgekitError as error:
        frame.bad = BadFile(info.split, info.name, error.where or where, error.what, error.fix)
        return frame
    frame.tasks = set(maps)
    frame.values = {name: Values.of(source.tasks[name], array) for name, array in maps.items()}
    frame.pixels = {
        name: np.bincount(array.ravel(), minlength=256) for name, array in maps.items() if source.tasks[name].classes
    }
    return frame


def _summary(source: Source, sums: _Sums, names: Sequence[str]) -> Report:
    report = Report(bad=sums.bad, splits={split: sums.counts[split] for split in source.splits()})
    report.notes = list(getattr(source, "notes", ()))
    report.values = {
        name: {split: sums.values[name, split] for split in source.splits() if (name, split) in sums.values}
        for name in names
    }
    readable = sum(count.frames for count in sums.counts.values())
    report.missing = {name: readable - sums.having[name] for name in names}
    for name, task in ((name, source.tasks[name]) for name in names):
        if task.classes:
            totals = {split: sums.pixels.get((name, split), np.zeros(256)) for split in source.splits()}
            report.shares[name] = {split: _shares(task, total) for split, total in totals.items()}
            report.ignored[name] = {s: _share(total[IGNORE], total.sum()) for s, total in totals.items()}
    return report


def _shares(task: Task, total: np.ndarray) -> dict[str, float | None]:
    return {name: _share(total[i], total[:IGNORE].sum()) for i, name in enumerate(task.classes)}


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _refusal(bad: list[BadFile], total: int) -> EdgekitError:
    if len(bad) == 1:
        what, where = bad[0].reason, bad[0].where
    else:
        lines = [f"{len(bad)} of {total} frames are bad", *(f"- {b.where}: {b.reason}" for b in bad[:MOST_LISTED])]
        if len(bad) > MOST_LISTED:
            lines.append(f"- and {len(bad) - MOST_LISTED} more")
        what, where = "\n  ".join(lines), None
    advice = {b.fix for b in bad if b.fix}  # one for all of them, or none that would fit all
    repair = advice.pop() if len(advice) == 1 and all(b.fix for b in bad) else "repair the files"
    return EdgekitError(what, where=where, fix=f"{repair}; or leave bad files out with data.on_bad_file: skip")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _table(title: str, headers: list[str], rows: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for i, header in enumerate(headers):
        table.add_column(header, justify="left" if i == 0 or header in ("file", "reason") else "right")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table
