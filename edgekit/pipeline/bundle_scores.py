"""Scoring a bundle's own files on a recipe's data: what runs on the device, not the network as trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.bundle.bundle import Bundle
from edgekit.errors import EdgekitError
from edgekit.evaluate.score import TaskScores
from edgekit.evaluate.table import cells
from edgekit.pipeline.evaluation import score_with_progress, without
from edgekit.pipeline.run import Run
from edgekit.pipeline.scorer import frame_predict
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import find_recipe
from edgekit.runtime.load import load
from edgekit.runtime.predictor import Predictor
from edgekit.tasks import Task


def open_bench(bundle: Bundle, recipe: Path | None, root: Path) -> Workbench:
    """The data to score on: that of a recipe or run; without one, of the run in ``root`` that the bundle names.

    EdgekitError where that run is not here and no recipe is given.
    """
    if recipe is None:
        run = bundle.manifest.provenance.get("run")
        recipe = root / Path(str(run)).name  # a bundle cannot point elsewhere
        if not run or not (recipe / "run.json").is_file():
            missing = f"the run that this bundle was made from is not here ({recipe})"
            raise EdgekitError(
                missing if run else "the bundle names no run that it was made from",
                where=str(bundle.source),
                fix="name a recipe or a run with --recipe, on whose data the bundle is to be scored",
            )
    if recipe.is_dir():
        return Run.open(recipe).bench()
    return Workbench.open(*find_recipe(recipe), root, root / "bundles.jsonl")


def evaluate_bundle(
    bundle: Bundle,
    bench: Workbench,
    split: str | None = None,
    *,
    backend: str | None = None,
    lane: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    engine: Path | None = None,
) -> dict[str, Any]:
    """Scores of one artifact on a split, default the recipe's, with those of the fp32 file beside it.

    Every frame goes through the Predictor as on the device, at its own size. Returns what `--json` prints.
    """
    split = split or bench.recipe.evaluate.split
    tasks, missing = _tasks(bundle, bench)
    names = [task.name for task in tasks]
    results: dict[str, TaskScores] = {}
    ran: dict[str, dict[str, Any]] = {}
    with load(bundle, backend, precision, threads, names, lane=lane, engine=engine) as predictor:
        row = _row(predictor)
        ran[row] = predictor.describe()
        results[row] = _score(predictor, bench, tasks, split)
        for hidden in without(bundle.manifest.preprocessing):
            results[f"{row}, without {', '.join(hidden)}"] = _score(predictor, bench, tasks, split, hidden)
        alone = predictor.backend.artifact.precision == "fp32" and engine is None
        reference_lane = lane if engine is None else None
    if not alone:
        with load(bundle, None if engine else backend, "fp32", threads, names, lane=reference_lane) as predictor:
            row = _row(predictor)
            ran = {row: predictor.describe(), **ran}
            results = {row: _score(predictor, bench, tasks, split), **results}
    return {
        "bundle": str(bundle.source),
        "recipe": bench.recipe.name,
        "split": split,
        "frames": len(bench.frames.frames(split)),
        "not_in_the_data": missing,
        "scores": results,
        "cells": {task.name: cells(task, results, {row: row for row in results}) for task in tasks},
        "retention": {},
        "ran": ran,
    }


def _row(predictor: Predictor) -> str:
    artifact = predictor.backend.artifact
    return f"{artifact.precision}, {artifact.lane} lane by {predictor.backend.name}"


def _tasks(bundle: Bundle, bench: Workbench) -> tuple[list[Task], list[str]]:
    """The bundle's tasks as the data has them, and the names of those that it lacks.

    EdgekitError where a task is something else in the data, or where it has none of them.
    """
    found, missing = [], []
    for task in bundle.manifest.tasks:
        own = bench.frames.tasks.get(task.name)
        if own is None:
            missing.append(task.name)
            continue
        for what, ours, theirs in (
            ("is of the kind", task.kind, own.kind),
            ("has the classes", ", ".join(task.classes), ", ".join(own.classes)),
            ("is in", task.unit or "no unit", own.unit or "no unit"),
        ):
            if ours != theirs:
                raise EdgekitError(
                    f"'{task.name}' {what} {ours} in the bundle and {theirs} in the data of '{bench.recipe.name}'",
                    where=str(bundle.source),
                    fix="name the recipe that the student was trained with, by --recipe",
                )
        found.append(own)
    if not found:
        raise EdgekitError(
            f"the data of '{bench.recipe.name}' has none of {', '.join(missing)}",
            where=str(bundle.source),
            fix="name the recipe that the student was trained with, by --recipe",
        )
    return found, missing


def _score(
    predictor: Predictor, bench: Workbench, tasks: list[Task], split: str, hidden: Sequence[str] = ()
) -> TaskScores:
    """Without the modalities ``hidden``."""
    answer = frame_predict(bench, predictor, hidden)
    infos, less = bench.frames.frames(split), f" without {', '.join(hidden)}" if hidden else ""
    title = f"evaluating {_row(predictor)}{less} on {split}"
    return score_with_progress(bench, title, answer, infos, tasks, sequential=bench.frames.sequential)
