"""The page of `edgekit data show`: maps side by side, what they hold, and where experts disagree most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup

from edgekit.data.dronescapes.description import Description, read_description
from edgekit.data.source import spread_out
from edgekit.errors import EdgekitError
from edgekit.extract.files import Tree
from edgekit.extract.record import PlanRecord, read_plan, read_record
from edgekit.report.page import page, picture
from edgekit.tasks import Kind, Task, kind_of
from edgekit.tasks.task import IGNORE

_BINS = 24
_WORST = 4
_MOST_COMPARED = 400
"""Frames that are read to find the worst disagreements, evenly over all."""


@dataclass
class Summary:
    """Of one task over the frames that are shown: values in bins, the least and the most, the share without a value."""

    task: Task
    counts: np.ndarray
    edges: np.ndarray
    least: float = np.inf
    most: float = -np.inf
    holes: int = 0
    pixels: int = 0
    frames: int = 0

    @classmethod
    def of(cls, task: Task) -> Summary:
        if kind_of(task).interpolation == "nearest":
            count = len(task.classes) or 2  # a map of no and yes
            return cls(task, np.zeros(count), np.arange(count + 1) - 0.5)
        bounds = kind_of(task).usual_range if task.range == Kind.usual_range else task.range  # none of its own
        return cls(task, np.zeros(_BINS), np.linspace(*bounds, _BINS + 1))

    def add(self, native: np.ndarray) -> None:
        values = native.reshape(-1).astype(np.float32)
        nearest = kind_of(self.task).interpolation == "nearest"
        missing = values == IGNORE if nearest else np.isnan(values)
        values = values[~missing]
        self.frames += 1
        self.pixels += missing.size
        self.holes += int(missing.sum())
        if values.size:
            self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))
            self.counts += np.histogram(np.clip(values, self.edges[0], self.edges[-1]), self.edges)[0]

    @property
    def range(self) -> str:
        if not self.counts.any():
            return "–"
        if self.task.classes:
            return f"{int((self.counts > 0).sum())} of {len(self.task.classes)} classes"
        return f"{self.least:.3g} to {self.most:.3g}{' m' if self.task.unit else ''}"

    @property
    def missing(self) -> str:
        return f"{100 * self.holes / self.pixels:.1f} %" if self.pixels else "–"

    def histogram(self) -> Markup:
        """The bins as an SVG element; each says its values and its share when it is pointed at."""
        total, top, count = self.counts.sum() or 1, self.counts.max() or 1, len(self.counts)
        bars = []
        for i, n in enumerate(self.counts):
            name = self.task.classes[i] if self.task.classes else f"{self.edges[i]:.3g} to {self.edges[i + 1]:.3g}"
            height = 36 * n / top
            bar = Markup('<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}">')
            width = max(160 / count - 0.5, 0.5)
            bars.append(bar.format(160 * i / count, 36 - height, width, height))
            bars.append(Markup("<title>{}: {:.1f} %</title></rect>").format(name, 100 * n / total))
        about = Markup('<svg class="histogram" viewBox="0 0 160 36" role="img" aria-label="values of {}">')
        return about.format(self.task.name) + Markup("").join(bars) + Markup("</svg>")


@dataclass
class Row:
    """A frame and its pictures by task, None where it has no such map; ``note``: what is special about it."""

    name: str
    pictures: dict[str, Markup | None] = field(default_factory=dict)
    note: str = ""


def show(out: Path, frames: int = 8) -> str:
    """HTML of a result of `edgekit data extract`, with ``frames`` of its frames, evenly over all that were read.

    EdgekitError for another folder, and one without frames yet.
    """
    plan, description = read_plan(out), read_description(out) or Description()
    tree = plan.tree(out)
    names = _frames(out, plan)
    if not names:
        raise EdgekitError("no frame was extracted yet", where=str(out), fix="run `edgekit data extract` first")
    tasks = {name: description.tasks[name] for name in plan.keys if name in description.tasks}
    summaries = {name: Summary.of(task) for name, task in tasks.items()}
    rows = []
    for folder, name in spread_out(names, frames):
        row = Row(f"{folder}/{name}")
        for task in tasks.values():
            native = tree.read_if_whole(folder, name, task)
            if native is not None:
                summaries[task.name].add(native)
            row.pictures[task.name] = _picture(task, native)
        rows.append(row)
    return page(
        "extract.html",
        title=f"{out.resolve().name}: {len(names)} frames of {len(plan.films)} films",
        summaries=list(summaries.values()),
        rows=rows,
        tasks=list(tasks),
        worst=[(name, _worst(tree, plan, tasks, names, name)) for name in plan.disagreements if name in tasks],
        compared=min(len(names), _MOST_COMPARED),
    )


def _worst(
    tree: Tree, plan: PlanRecord, tasks: dict[str, Task], names: Sequence[tuple[str, str]], disagreement: str
) -> list[Row]:
    """The frames whose experts disagree most on the mean, with what each of them says."""
    means = []
    for folder, name in spread_out(names, _MOST_COMPARED):
        native = tree.read_if_whole(folder, name, tasks[disagreement])
        if native is not None and not np.isnan(native).all():
            means.append((float(np.nanmean(native)), folder, name))
    rows = []
    for mean, folder, name in sorted(means, reverse=True)[:_WORST]:
        row = Row(f"{folder}/{name}", note=f"{mean:.3f} on the mean")
        for task in ["rgb", disagreement, *plan.needs.get(disagreement, [])]:
            if task in tasks:
                row.pictures[task] = _picture(tasks[task], tree.read_if_whole(folder, name, tasks[task]))
        rows.append(row)
    return rows


def _frames(out: Path, plan: PlanRecord) -> list[tuple[str, str]]:
    """(set, name) of all frames of the films that were read."""
    records = [read_record(out, folder, film) for folder, film in plan.films]
    return [(record.folder, name) for record in records if record for name in record.names]


def _picture(task: Task, native: np.ndarray | None) -> Markup | None:
    if native is None:
        return None
    return picture(kind_of(task).picture(task, native), task.name)
