"""Reading every frame once before anything trains: counts, shares of classes, missing tasks, bad files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from edgekit.data.source import FrameInfo, Source
from edgekit.data.values import ValueSummary
from edgekit.errors import EdgekitError, WriteError
from edgekit.frames.terminal import rich_table
from edgekit.tasks import kind_of
from edgekit.tasks.kind import share
from edgekit.tasks.task import IGNORE

MOST_LISTED = 10


@dataclass(frozen=True)
class BadFile:
    """A frame that cannot be used: ``where`` is the file, ``reason`` what is wrong with it, ``fix`` what to do."""

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
class DataReport:
    """What the data of a recipe holds.

    ``splits``   split -> counts, bad files left out
    ``shares``   semantic task -> split -> class -> share of the pixels with a label, 0-1 (None: no such pixel)
    ``ignored``  semantic task -> split -> share of the pixels of labelled frames without a label
    ``missing``  task -> number of readable frames that lack it
    ``bad``      frames that cannot be used
    ``values``   task -> split -> a summary of the values in its maps
    ``notes``    remarks on how the files were read, for the reader of the table
    """

    splits: dict[str, SplitCount] = field(default_factory=dict)
    shares: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    ignored: dict[str, dict[str, float | None]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    bad: list[BadFile] = field(default_factory=list)
    values: dict[str, dict[str, ValueSummary]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def excluded(self) -> set[str]:
        """The names of the frames to leave out."""
        return {bad.name for bad in self.bad}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DataReport:
        """The report that `to_json` wrote."""
        return TypeAdapter(cls).validate_python(document)

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
        headers = ["task", "split", "minimum", "maximum", "valid", "at the ends of its range"]
        rows = [(task, split, *v.row()) for task, by_split in self.values.items() for split, v in by_split.items()]
        return _table("Values", headers, rows)

    def _share_table(self, task: str) -> Any:
        by_split = self.shares[task]
        classes = list(next(iter(by_split.values())))
        rows = [(name, *(_percent(shares[name]) for shares in by_split.values())) for name in classes]
        rows.append(("(ignored)", *(_percent(share) for share in self.ignored[task].values())))
        return _table(f"Pixels of {task}", ["class", *by_split], rows)


def check_source(
    source: Source,
    on_bad_file: Literal["error", "skip"] = "error",
    progress: Callable[[int, int], None] | None = None,
    names: Collection[str] | None = None,
) -> DataReport:
    """Read the maps of every frame of ``source`` once, in parallel, calling ``progress(done, total)`` after each frame.

    ``names``: the tasks to read, by default all. A frame is bad if one of its files cannot be read or a map does not
    fit its task. With ``skip`` bad frames are listed in the report instead of raising.

    Raises EdgekitError for a split without frames, for a split with bad frames only, and with ``error`` for any bad
    frame, listing the first ten; WriteError where a source cannot store what it renders.
    """
    names = [name for name in source.tasks if names is None or name in names]
    infos = {split: source.frames(split) for split in source.splits()}
    for split, frames in infos.items():
        if not frames:
            raise EdgekitError(f"the split '{split}' has no frames", where="data", fix="add images, or drop the split")
    everything = [info for frames in infos.values() for info in frames]
    report = DataReport(values={name: {} for name in names})
    pixels: dict[tuple[str, str], np.ndarray] = {}  # (task, split) -> pixels per value 0-255
    having: Counter[str] = Counter()  # task -> readable frames that have it
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        checked = pool.map(lambda info: _check_frame(source, info, names), everything)
        for done, (info, maps) in enumerate(zip(everything, checked, strict=True), 1):
            if isinstance(maps, BadFile):
                report.bad.append(maps)
            else:
                count = report.splits.setdefault(info.split, SplitCount())
                count.frames += 1
                count.labelled += info.labelled
                having.update(maps.keys())
                for name, (values, counts) in maps.items():
                    report.values[name].setdefault(info.split, ValueSummary()).add(values)
                    pixels[name, info.split] = pixels.get((name, info.split), 0) + counts
            if progress:
                progress(done, len(everything))
    if report.bad and on_bad_file == "error":
        raise _refusal(report.bad, len(everything))
    for split in infos:
        if split not in report.splits:
            first = next(bad for bad in report.bad if bad.split == split)
            what = f"every frame of the split '{split}' is bad: {first.reason}"
            raise EdgekitError(what, where=first.where, fix=first.fix)
    report.notes = list(getattr(source, "notes", ()))
    readable = sum(count.frames for count in report.splits.values())
    report.missing = {name: readable - having[name] for name in names}
    for name in names:
        if classes := source.tasks[name].classes:
            totals = {split: pixels.get((name, split), np.zeros(256)) for split in report.splits}
            report.shares[name] = {
                split: {label: share(total[i], total[:IGNORE].sum()) for i, label in enumerate(classes)}
                for split, total in totals.items()
            }
            report.ignored[name] = {split: share(total[IGNORE], total.sum()) for split, total in totals.items()}
    return report


def _check_frame(
    source: Source, info: FrameInfo, names: Sequence[str]
) -> BadFile | dict[str, tuple[ValueSummary, np.ndarray | int]]:
    """Of each map its values, and its pixels per value 0-255 where it holds classes."""
    where = f"{info.split}/{info.name}"
    try:
        maps = source.read(info, names)
        if "rgb" not in maps:
            raise EdgekitError(
                "the frame has no rgb, which every frame has to have", where=where, fix="add its photograph"
            )
        for name, array in maps.items():
            kind_of(source.tasks[name]).validate(source.tasks[name], array, where)
        if len({array.shape[:2] for array in maps.values()}) > 1:
            sizes = ", ".join(f"{name} {a.shape[1]}x{a.shape[0]}" for name, a in maps.items())
            what = f"maps of one frame differ in size: {sizes} (width x height)"
            raise EdgekitError(what, where=where, fix="export them again at one size, or set data.size")
    except WriteError:
        raise
    except EdgekitError as error:
        return BadFile(info.split, info.name, error.where or where, error.what, error.fix)
    return {
        name: (
            ValueSummary.of(source.tasks[name], array),
            np.bincount(array.ravel(), minlength=256) if source.tasks[name].classes else 0,
        )
        for name, array in maps.items()
    }


def _refusal(bad: list[BadFile], total: int) -> EdgekitError:
    if len(bad) == 1:
        what, where = bad[0].reason, bad[0].where
    else:
        lines = [f"{len(bad)} of {total} frames are bad", *(f"- {b.where}: {b.reason}" for b in bad[:MOST_LISTED])]
        if len(bad) > MOST_LISTED:
            lines.append(f"- and {len(bad) - MOST_LISTED} more")
        what, where = "\n  ".join(lines), f"{bad[0].where}, the first of them"
    advice = {b.fix for b in bad if b.fix}  # given only where the same advice fits all of them
    repair = advice.pop() if len(advice) == 1 and all(b.fix for b in bad) else "repair the files"
    return EdgekitError(what, where=where, fix=f"{repair}; or leave bad files out with data.on_bad_file: skip")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _table(title: str, headers: list[str], rows: Any) -> Any:
    from rich.text import Text

    right = [header for header in headers[1:] if header not in ("file", "reason")]
    texts = ([Text(str(cell)) for cell in row] for row in rows)
    return rich_table(title, headers, texts, right, overflow="ellipsis")
