"""The requirements of a recipe, checked against a run's result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgekit.evaluate.score import decimals, is_better, main_task, primary_metric
from edgekit.recipe.schema import Requirements
from edgekit.tasks import Task


def check_requirements(require: Requirements, tasks: Sequence[Task], result: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per stated requirement: {name, holds, found}. A requirement about a row that was not made fails."""
    scores = result["scores"]
    first = main_task(tasks)
    checked = []

    def compare(name: str, better: str, worse: str, over: Sequence[Task]) -> None:
        pairs = {
            t.name: tuple(primary_metric(t, scores[row]) if row in scores else None for row in (better, worse))
            for t in over
        }
        found = ", ".join(f"{task} {decimals(a)} against {decimals(b)}" for task, (a, b) in pairs.items())
        checked.append({"name": name, "holds": all(is_better(t, *pairs[t.name]) for t in over), "found": found})

    if require.ensemble_beats_single:
        compare("ensemble beats one pass", "ensemble", "single_all", [first])
    if require.ensemble_beats_baseline:
        compare("ensemble beats the labels-only student", "ensemble", "baseline", [first])
    both = {"student", "baseline"} <= scores.keys()
    if require.student_beats_baseline or (require.student_beats_baseline is None and both):
        over = tasks if require.student_beats_baseline else [first]
        compare("distilled student beats the labels-only student", "student", "baseline", over)
    if require.retention is not None:
        kept = result["retention"].get(first.name)
        holds = kept is not None and kept >= require.retention
        checked.append(
            {"name": f"retention of at least {require.retention:.1%}", "holds": holds, "found": decimals(kept)}
        )
    if require.parameters is not None:
        count = result["parameters"]
        name = f"at most {require.parameters:,} parameters"
        checked.append({"name": name, "holds": count <= require.parameters, "found": f"{count:,}"})
    return checked
