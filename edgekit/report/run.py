"""The page of `edgekit report`: what a run trained, how it learned and what came out; other runs beside the first."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from markupsafe import Markup

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.outside import read_bytes, read_json, read_text
from edgekit.frames.typed import Misfit, as_typed
from edgekit.report.page import page
from edgekit.report.plots import Bar, bars, curves, svg

_Table = tuple[list[str], list[list[str]]]  # header, rows of a model's name and its figures
_Curve = list[tuple[float, float]]
_DISTIL = "run `edgekit distill` again with the run's folder: what is done is found again"


class _Requirement(TypedDict):
    name: str
    holds: bool
    found: str


class _Result(TypedDict, total=False):
    """Of ``result.json`` what the page shows; a run that its trial ended has the last two alone."""

    split: str
    scores: dict[str, dict[str, dict[str, Any]]]
    cells: dict[str, _Table]
    retention: dict[str, float | None]
    pictures: list[str]
    parameters: int
    teachers: list[int]
    passes: int
    members: int
    frames: dict[str, int]
    target_bytes_per_frame: float
    seconds: dict[str, float]
    trial: dict[str, Any]
    requirements: list[_Requirement]


@dataclass
class RunFiles:
    """A run directory as it was read. ``curves``: stage → (step, loss), ``packages`` and machine in ``machine``."""

    name: str
    result: _Result
    recipe: str
    machine: str
    curves: dict[str, _Curve] = field(default_factory=dict)
    pictures: dict[str, Markup] = field(default_factory=dict)


def read_run(folder: Path) -> RunFiles:
    """A run that is finished. EdgekitError where the folder is none, or its files are not as `distill` writes them."""
    path = folder / "result.json"
    try:
        result = as_typed(_Result, read_json(path, what="the run's result", fix=_DISTIL), "result.json")
        about = as_typed(dict[str, Any], read_json(folder / "environment.json", fix=_DISTIL), "environment.json")
        recipe = read_text(folder / "recipe.yaml", what="the run's recipe", fix=_DISTIL)
    except FileNotFoundError as error:
        raise EdgekitError("this is no finished run", where=str(error.filename or path), fix=_DISTIL) from error
    except Misfit as error:
        raise EdgekitError(f"the run's result is damaged: {error}", where=str(path), fix=_DISTIL) from error
    packages = about.get("packages") if isinstance(about.get("packages"), dict) else {}
    facts = [about.get("machine"), f"{about.get('threads')} threads", f"torch {packages.get('torch')}"]
    return RunFiles(
        folder.resolve().name,
        result,
        recipe,
        ", ".join(map(str, facts)),
        _curves(folder / "log.jsonl"),
        {Path(name).stem: _picture(folder / "pictures" / Path(name).name) for name in result.get("pictures", [])},
    )


def run_page(runs: Sequence[RunFiles]) -> str:
    """One page: a part per run, and before them, where there are several, how each differs from the first."""
    first = runs[0]
    differences = [
        (f"{task}: {run.name} less {first.name}", *table)
        for run in runs[1:]
        for task, table in _differences(first.result, run.result)
    ]
    title = " and ".join(run.name for run in runs)
    return page("run.html", title=title, parts=[_part(run) for run in runs], differences=differences)


def _part(run: RunFiles) -> dict[str, Any]:
    result = run.result
    return {
        "run": run,
        "cards": list(_cards(result)),
        "tasks": [(task, *_task(task, result)) for task in result.get("cells", {})],
        "curves": svg(curves(run.curves, ("step", "loss")), "loss over steps") if run.curves else None,
        "times": _times(result.get("seconds", {})),
    }


def _cards(result: _Result) -> Iterable[tuple[str, str, str]]:
    """(what, figure, a note): the distilled student's main metric, what it gained, what it is."""
    for task, (header, rows) in result.get("cells", {}).items():
        figures = {row[0]: row[1] for row in rows}
        if "student, distilled" in figures:
            alone = figures.get("student, labels only")
            note = f"{header[1]}; on the labels alone {alone}" if alone else header[1]
            yield f"{task}, distilled student", figures["student, distilled"], note
    for task, kept in result.get("retention", {}).items():
        if kept is not None:
            yield (
                f"{task}, kept of the ensemble",
                f"{100 * kept:.1f} %",
                f"ensemble of {result.get('passes', 0)} passes",
            )
    if "parameters" in result:
        teachers = ", ".join(f"{count:,}" for count in result.get("teachers", []))
        yield "student", f"{result['parameters']:,}", f"parameters; teachers: {teachers}"
    if "frames" in result:
        yield "frames", " + ".join(str(n) for n in result["frames"].values()), " + ".join(result["frames"])


def _task(task: str, result: _Result) -> tuple[_Table, _Table | None, Markup]:
    """A task's table, its IoU per class where it has classes, and its main metric as bars."""
    header, rows = result["cells"][task]
    shown = [Bar(row[0], float(row[1]), header[1]) for row in rows if _is_number(row[1])]
    number = f"{{:.{max((_decimals(row[1]) for row in rows), default=2)}f}}"
    plot = svg(bars({task: shown}, header[1], [header[1]], number), f"{header[1]} of {task} per model") if shown else ""
    return (header, rows), _classes(task, result), Markup(plot)


def _classes(task: str, result: _Result) -> _Table | None:
    """IoU in percent, a row per class and a column per model; the class worst in the last model first."""
    names = [row[0] for row in result["cells"][task][1]]
    ious = [scores[task]["iou"] for scores in result.get("scores", {}).values() if "iou" in scores.get(task, {})]
    if not ious or len(ious) != len(names):
        return None
    ordered = sorted(ious[-1], key=lambda name: ious[-1][name] or 0.0)
    return ["class", *names], [[name, *(_percent(iou.get(name)) for iou in ious)] for name in ordered]


def _differences(first: _Result, other: _Result) -> Iterable[tuple[str, _Table]]:
    """Of each task that both have, the other's figures less the first's: of the models, and per class."""
    for task in [task for task in other.get("cells", {}) if task in first.get("cells", {})]:
        pairs = {
            task: (first["cells"][task], other["cells"][task]),
            f"{task}, IoU per class": (_classes(task, first), _classes(task, other)),
        }
        for name, (before, after) in pairs.items():
            if before and after and (table := _difference(before, after))[1]:
                yield name, table


def _difference(before: _Table, after: _Table) -> _Table:
    """The rows and columns of ``after`` that ``before`` has too, less what stands there."""
    known = {row[0]: dict(zip(before[0], row, strict=False)) for row in before[1]}
    columns = [i for i, name in enumerate(after[0]) if i == 0 or name in before[0]]
    rows = [
        [row[0], *(_less(row[i], known[row[0]].get(after[0][i], "–")) for i in columns[1:])]
        for row in after[1]
        if row[0] in known
    ]
    return [after[0][i] for i in columns], rows


def _less(value: str, before: str) -> str:
    if not _is_number(value) or not _is_number(before):
        return "–"
    return f"{float(value) - float(before):+.{_decimals(value)}f}"


def _times(seconds: Mapping[str, float]) -> Markup | None:
    shown = [Bar(stage, value / 60, "minutes") for stage, value in seconds.items()]
    return svg(bars({"time": shown}, "minutes", ["minutes"], "{:.1f}"), "minutes per stage") if shown else None


def _curves(path: Path) -> dict[str, _Curve]:
    """Stage → (step, loss) of the log; where a stage was gone on with, a later line of a step counts."""
    found: dict[str, dict[float, float]] = {}
    try:
        lines = read_text(path, what="the run's log", most=limits.JSON_BYTES).splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            entry = json.loads(line)
            step, loss = float(entry["step"]), float(entry["loss"])
            found.setdefault(str(entry["stage"]), {})[step] = loss
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # notes and stages without a loss, or a line that was cut off
    return {stage: sorted(points.items()) for stage, points in found.items()}


def _picture(path: Path) -> Markup:
    try:
        content = base64.b64encode(read_bytes(path, what="the run's picture", most=limits.JSON_BYTES)).decode()
    except FileNotFoundError:
        return Markup()
    return Markup('<img src="data:image/png;base64,{}" alt="{}">').format(content, path.stem)


def _decimals(number: str) -> int:
    return len(number.partition(".")[2])


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
