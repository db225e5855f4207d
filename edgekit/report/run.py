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
from edgekit.report import breakdown as parts
from edgekit.report.breakdown import BASELINE, STUDENT, StoredBreakdown, TextTable
from edgekit.report.page import page
from edgekit.report.plots import Bar, bars, curves, diagonal, svg

_Curve = list[tuple[float, float]]
_NAMES = {"ensemble": "ensemble", BASELINE: "labels only", STUDENT: "distilled"}
_ERRORS = (
    "The error is one standard error of the difference itself, from leaving out parts of the frames (scenes of a film) "
    "in turn; a difference is clear from two of them. It says what other frames would change, not what seeds would."
)
_DISTIL = "run `edgekit distill` again with the run's folder: what is done is found again"


class _Requirement(TypedDict):
    name: str
    holds: bool
    found: str


class _Result(TypedDict, total=False):
    """Of ``result.json`` what the page shows; a run that its trial ended has the last two alone."""

    split: str
    scores: dict[str, dict[str, dict[str, Any]]]
    cells: dict[str, TextTable]
    retention: dict[str, float | None]
    pictures: list[str]
    breakdown: str
    parameters: int
    teachers: list[int]
    ensemble: str
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
    breakdown: StoredBreakdown | None = None


def read_run(folder: Path) -> RunFiles:
    """A finished run. EdgekitError if the folder is not one, or its files are not as `distill` writes them."""
    path = folder / "result.json"
    try:
        result = as_typed(_Result, read_json(path, what="the run's result", fix=_DISTIL), "result.json")
        about = as_typed(dict[str, Any], read_json(folder / "environment.json", fix=_DISTIL), "environment.json")
        recipe = read_text(folder / "recipe.yaml", what="the run's recipe", fix=_DISTIL)
        # by its name: a run's folder may have been moved
        counts = parts.read_breakdown(folder / Path(result["breakdown"]).name) if "breakdown" in result else None
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
        counts,
    )


def run_page(runs: Sequence[RunFiles]) -> str:
    """One page: a part per run, and before them, where there are several, how each differs from the first."""
    first = runs[0]
    differences = [
        (f"{task}: {run.name} less {first.name}", about, *table)
        for run in runs[1:]
        for task, about, table in _differences(first, run)
    ]
    title = " and ".join(run.name for run in runs)
    return page("run.html", title=title, parts=[_part(run) for run in runs], differences=differences)


def _part(run: RunFiles) -> dict[str, Any]:
    result = run.result
    return {
        "run": run,
        "cards": list(_cards(result)),
        "tasks": [(task, *_task(task, result), list(_broken_down(task, run))) for task in result.get("cells", {})],
        "confusion": _confusions(run),
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
    ensemble = result.get("ensemble", "an ensemble")
    for task, kept in result.get("retention", {}).items():
        if kept is not None:
            yield (
                f"{task}, kept of the ensemble",
                f"{100 * kept:.1f} %",
                f"the ensemble: {ensemble}",
            )
    if "parameters" in result:
        teachers = ", ".join(f"{count:,}" for count in result.get("teachers", []))
        yield "student", f"{result['parameters']:,}", f"parameters; teachers: {teachers}"
    if "target_bytes_per_frame" in result:
        spent = result.get("seconds", {}).get("targets")
        note = f"per frame, of {ensemble}" + ("" if spent is None else f"; {spent / 60:.1f} minutes")
        yield "targets", f"{result['target_bytes_per_frame'] / 1000:.1f} kB", note
    if "frames" in result:
        yield "frames", " + ".join(str(n) for n in result["frames"].values()), " + ".join(result["frames"])


def _task(task: str, result: _Result) -> tuple[TextTable, TextTable | None, Markup]:
    """A task's table, its IoU per class where it has classes, and its main metric as bars."""
    header, rows = result["cells"][task]
    shown = [Bar(row[0], float(row[1]), header[1]) for row in rows if _is_number(row[1])]
    number = f"{{:.{max((_decimals(row[1]) for row in rows), default=2)}f}}"
    plot = svg(bars({task: shown}, header[1], [header[1]], number), f"{header[1]} of {task} per model") if shown else ""
    return (header, rows), _classes(task, result), Markup(plot)


def _classes(task: str, result: _Result) -> TextTable | None:
    """IoU in percent, a row per class and a column per model; the class worst in the last model first."""
    names = [row[0] for row in result["cells"][task][1]]
    ious = [scores[task]["iou"] for scores in result.get("scores", {}).values() if "iou" in scores.get(task, {})]
    if not ious or len(ious) != len(names):
        return None
    ordered = sorted(ious[-1], key=lambda name: ious[-1][name] or 0.0)
    return ["class", *names], [[name, *(_percent(iou.get(name)) for iou in ious)] for name in ordered]


def _broken_down(task: str, run: RunFiles) -> Iterable[tuple[str, TextTable | None, Markup | None]]:
    """(what is shown in words, a table or None, a plot or None): what the task's scores are made of."""
    found = run.breakdown
    if found is None or task not in found["tasks"]:
        return
    models = {
        _NAMES[name]: found["tasks"][task]["models"][name] for name in _NAMES if name in found["tasks"][task]["models"]
    }
    gained = parts.differences((found, BASELINE), (found, STUDENT), task)
    if gained:
        yield f"What distillation adds to the student on the labels alone. {_ERRORS}", gained, None
    sure = {name: found for name, model in models.items() if (found := parts.reliability(model))}
    if sure:
        errors = ", ".join(f"{name} {100 * error:.1f} %" for name, (_, error) in sure.items())
        drawn = diagonal({name: points for name, (points, _) in sure.items()}, ("confidence", "share of right pixels"))
        about = "How often pixels of a confidence are right; a model under the dashed line is too sure of itself."
        yield f"{about} Expected calibration error: {errors}.", None, svg(drawn, f"reliability of {task}")
    for what, table in parts.extreme_frames(run.breakdown, task):
        yield what, table, None


def _confusions(run: RunFiles) -> list[tuple[str, list[str], list[tuple[str, list[float]]]]]:
    """(task, answers, rows of labels) of every task with classes."""
    tasks = run.breakdown["tasks"] if run.breakdown else {}
    return [(name, *matrix) for name, task in tasks.items() if (matrix := parts.confusion(task))]


def _differences(first: RunFiles, other: RunFiles) -> Iterable[tuple[str, str, TextTable]]:
    """(what, about it, table) of each task that both have, the other's figures less the first's: of the models, and of
    the distilled student per class, with an error where both were scored on the same frames."""
    before, after = first.result, other.result
    for task in [task for task in after.get("cells", {}) if task in before.get("cells", {})]:
        table = _difference(before["cells"][task], after["cells"][task])
        if table[1]:
            yield task, "", table
        table = None
        if first.breakdown and other.breakdown:
            table = parts.differences((first.breakdown, STUDENT), (other.breakdown, STUDENT), task)
        if table:
            yield f"{task}, distilled student", _ERRORS, table
            continue
        classes = [_classes(task, result) for result in (before, after)]
        if all(classes) and (table := _difference(*classes))[1]:
            yield f"{task}, IoU per class", "Without an error: the runs were not scored on the same frames.", table


def _difference(before: TextTable, after: TextTable) -> TextTable:
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
    """Stage → (step, loss) of the log; if a stage was resumed, the last line of each step is used."""
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
