"""The table of a run: every model's metrics of every task, and the student's share of the ensemble's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgekit.evaluate.score import TaskScores, primary_metric
from edgekit.frames.markdown import escaped
from edgekit.tasks import Task, kind_of

ROWS = {
    "single_all": "one teacher, all modalities",
    "single_rgb": "one teacher, rgb only",
    "networks": "ensemble, trained networks alone",
    "ensemble": "ensemble",
    "baseline": "student, labels only",
    "student": "student, distilled",
}

EXTERNAL_ROW = "external "
"""With the name of an external teacher behind it, the key of its row. It may lack some of the tasks."""


def retention(tasks: Sequence[Task], results: dict[str, TaskScores]) -> dict[str, float]:
    """Task → the student's share of the ensemble's primary metric; above 1 the student is better than the ensemble.

    Student / ensemble, or for an error ensemble / student. Only the tasks for which both are known and above 0.
    """
    if "student" not in results or "ensemble" not in results:
        return {}
    kept = {}
    for task in tasks:
        student, ensemble = primary_metric(task, results["student"]), primary_metric(task, results["ensemble"])
        higher = kind_of(task).primary.higher_is_better
        if student is not None and ensemble and (student or higher):
            kept[task.name] = student / ensemble if higher else ensemble / student
    return kept


WITHOUT_ROW = "student without "
"""With the modalities behind it that are hidden from the distilled student, the key of its row."""

Cells = tuple[list[str], list[list[str]]]
"""(header, rows) as text."""


def cells(task: Task, results: dict[str, TaskScores], labels: Mapping[str, str] | None = None) -> Cells:
    """A task's metrics, one row per model that was scored; metrics that no row has are left out.

    ``labels``: key → label of the rows, by default those of a run.
    """
    shown = {
        metric: form
        for metric, form in kind_of(task).columns.items()
        if any(scores.get(task.name, {}).get(metric) is not None for scores in results.values())
    }
    rows = []
    for label, scores in _rows(task, results, labels):
        values = [(scores.get(metric), form) for metric, form in shown.items()]
        rows.append([label, *("-" if v is None else f"{v * f:.{d}f}" for v, (_, f, d) in values)])
    return ["model", *(title for title, _, _ in shown.values())], rows


def class_cells(task: Task, results: dict[str, TaskScores]) -> Cells:
    """Per-class IoU in percent, one column per class."""
    header = ["model", *task.classes]
    rows = []
    for label, scores in _rows(task, results):
        iou = scores["iou"]
        rows.append([label, *("-" if iou[name] is None else f"{100 * iou[name]:.1f}" for name in task.classes)])
    return header, rows


def _rows(
    task: Task, results: dict[str, TaskScores], labels: Mapping[str, str] | None = None
) -> Iterator[tuple[str, dict]]:
    """(label, the task's scores) of every model that was scored on the task, in the table's order."""
    external = {key: f"{key.removeprefix(EXTERNAL_ROW)}, external" for key in results if key.startswith(EXTERNAL_ROW)}
    lacking = {
        key: f"{ROWS['student']}, {key.removeprefix('student ')}" for key in results if key.startswith(WITHOUT_ROW)
    }
    singles = {key: label for key, label in ROWS.items() if key.startswith("single")}
    for key, label in (labels or {**singles, **external, **ROWS, **lacking}).items():
        if task.name in results.get(key, {}):
            yield label, results[key][task.name]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers to the right."""
    first, *others = ("| " + " | ".join(map(escaped, row)) + " |" for row in (header, *rows))
    return "\n".join([first, "|---" + "|--:" * (len(header) - 1) + "|", *others]) + "\n"
