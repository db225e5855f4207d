"""`edgekit search`: a recipe, a budget and a source of latencies become a study, its front and its page."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.evaluate.score import main_task, primary_metric
from edgekit.frames.files import write_text
from edgekit.frames.locks import locked
from edgekit.pipeline.evaluation import predictors, score_models
from edgekit.pipeline.export import Request, export
from edgekit.pipeline.keys import student_start
from edgekit.pipeline.run import Run
from edgekit.pipeline.scales import frame_size, with_scales
from edgekit.pipeline.stages import baseline_stage, student_stage
from edgekit.pipeline.subject import Subject, shots_of
from edgekit.pipeline.targets import build_ensemble, compute_targets
from edgekit.pipeline.training import train_student, train_teachers, untrained_student
from edgekit.pipeline.trial import LEAST_HELD_BACK
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import find_recipe, recipe_hash
from edgekit.report.search import search_page
from edgekit.search.front import front
from edgekit.search.latency import Cost, LatencySource, cost_of
from edgekit.search.space import PRECISION, Choices, Space, overrides_of, own_parameters, smallest, space_of
from edgekit.search.study import Search, open_study, rungs_of, trained
from edgekit.students.student import Student
from edgekit.tasks import kind_of
from edgekit.training.progress import Progress, note

_FOLD = ("data.fold={index: 0, of: 4}", "evaluate.split=val")
_WAIT = float("inf")  # for what another process of the study makes or measures


def parse_budget(text: str) -> float:
    """``5ms``, ``5`` or ``0.005s`` in ms. EdgekitError for anything else."""
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(ms|s)?\s*", text, re.ASCII)
    ms = float(match[1]) * (1000 if match[2] == "s" else 1) if match else 0.0
    if not ms:
        raise EdgekitError(f"'{text}' is no budget", where="--budget", fix="write milliseconds above 0, e.g. 5ms")
    return ms


def search_recipe(
    path: Path,
    overrides: Sequence[str],
    latency: LatencySource,
    *,
    budget: str,
    trials: int,
    study: Path | None = None,
    storage: str | None = None,
    vary: Sequence[str] = (),
) -> dict[str, Any]:
    """Search, or go on with a search; what `--json` prints.

    trials   candidates to train, by all processes together
    study    its folder, beside which stages and points lie as runs; default: runs/search-NAME
    storage  a URL as Optuna takes it, where the study is kept; default: an SQLite file in the folder

    EdgekitError for a budget that nothing meets, a study of something else, and what the recipe gets wrong.
    """
    # Where the extra is missing, that is said before data is read.
    import optuna  # noqa: F401

    budget_ms = parse_budget(budget)
    recipe, _ = find_recipe(path, overrides)
    overrides = [*overrides, *(["distill.start=null"] if recipe.distill.start == "teacher" else [])]
    held_back = [*overrides, *(_FOLD[1:] if recipe.data.fold else _FOLD)]
    recipe, base = find_recipe(path, held_back)
    folder = study or Path("runs") / f"search-{recipe.name}"
    rungs = rungs_of(recipe.distill.train.steps)
    with locked(folder / "opening", "another process opens the study", patience=_WAIT):
        bench = Workbench.open(recipe, base, folder.parent, folder / "log.jsonl")
        recipe = bench.recipe
        space, task = space_of(recipe, bench.tasks, latency.precisions, vary), main_task(bench.tasks)
        about = {
            "recipe": recipe_hash(recipe.trained(), recipe.export),
            "latency": latency.about,
            "budget": f"{budget_ms:g} ms",
            "space": {key: str(part) for key, part in space.items()},
        }
        url = storage or f"sqlite:///{(folder / 'study.db').resolve()}"
        found = open_study(folder.name, url, about, rungs, maximise=kind_of(task).primary.higher_is_better)
    works = _Works(path, held_back, bench, latency, folder)
    _begin(found, works, space, budget_ms)
    with locked(folder / "shared", "another process trains the teachers", patience=_WAIT):
        networks = train_teachers(bench)
        store, _, key = compute_targets(bench, build_ensemble(bench, networks))
    works.shared = _Shared(networks, store.read, key)
    if (count := len(bench.frames.frames(recipe.evaluate.split))) < LEAST_HELD_BACK:
        note("search", f"candidates are compared on {count} held-back frames, so that chance decides among them")
    with Progress("search", bench.log) as progress:
        Search(found, space, budget_ms, rungs, works.candidate).run(trials, progress)
    result = {
        "study": str(folder),
        "page": str(folder / "search.html"),
        "recipe": recipe.name,
        "task": task.name,
        "metric": kind_of(task).primary.name,
        "higher_is_better": kind_of(task).primary.higher_is_better,
        "budget_ms": budget_ms,
        "latency": latency.about,
        "held_back": count,
        "steps": rungs,
        "trained": len(trained(found)),
        "space": about["space"],
        **_points(found, own_parameters(recipe, space), kind_of(task).primary.higher_is_better),
    }
    for point in result["points"]:
        if point["front"]:
            chosen, _ = find_recipe(path, [*overrides, *overrides_of(point["values"])])
            run = Run(folder.parent / f"{folder.name}-{point['number']}", chosen, base)
            run.begin()
            point["run"] = str(run.folder)
    write_text(folder / "search.html", search_page(result))
    return result


@dataclass
class _Shared:
    """What all candidates have in common: the teachers, how a frame's targets are read, and these' key."""

    networks: Sequence[Any]
    targets: Callable
    key: str


@dataclass
class _Works:
    """Where candidates are built."""

    path: Path
    overrides: Sequence[str]
    bench: Workbench
    latency: LatencySource
    folder: Path
    shared: _Shared | None = None

    def candidate(self, number: int, values: Mapping[str, str]) -> _Candidate:
        recipe, _ = find_recipe(self.path, [*self.overrides, *overrides_of(values)])
        recipe = with_scales(recipe, frame_size(self.bench.frames))
        bench = replace(self.bench, recipe=recipe, prefix=f"candidate {number}, ")
        return _Candidate(self, bench, untrained_student(bench), values[PRECISION])


@dataclass
class _Candidate:
    works: _Works
    bench: Workbench
    untrained: Student
    precision: str

    def cost(self) -> Cost:
        with locked(self.works.folder / "latency", "another process measures", patience=_WAIT):
            return cost_of(self.works.latency, self.bench, self.untrained, self.precision)

    def score(self, steps: int) -> float | None:
        bench = self._shortened(steps)
        split, shared = bench.recipe.evaluate.split, self.works.shared
        stage = bench.stage("scores", "student", split, [student_stage(bench, shared.key).key], bench.recipe.tasks)
        with self._alone(bench), stage.unless_done() as todo:
            if todo:
                student = self._trained(bench)
                predict = predictors(bench, shared.networks, {"student": student})["student"]
                stage.finish(score_models(bench, {"student": predict}, split)[0]["student"], [])
        return primary_metric(main_task(bench.tasks), stage.result())

    def final_score(self, steps: int) -> float:
        """Of the file in onnxruntime, calibrated on train: what INT8 and upsampling cost is part of it."""
        bench = self._shortened(steps)
        recipe, task = bench.recipe, main_task(bench.tasks)
        frames = [shots_of(bench, split) for split in ("train", recipe.evaluate.split)]
        subject = Subject(recipe.name, self._trained(bench), recipe.export, *frames, {}, bench, log=bench.log)
        precision = "int8" if self.precision == "int8" else "fp32"  # onnxruntime has no file in fp16
        with tempfile.TemporaryDirectory() as folder:
            made = export(subject, Request("cpu", Path(folder) / "bundle", precision, golden="synthetic"))
        score = primary_metric(task, made["metrics"][precision]) if made["holds"] else None
        if score is None:
            what = f"no {precision} file: {made.get('failed', 'its score is undefined')}"
            raise EdgekitError(what, where=recipe.name, fix="see what `edgekit export` says of its run")
        return score

    def _shortened(self, steps: int) -> Workbench:
        """The bench of a training of so many steps."""
        distill = self.bench.recipe.distill
        distill = distill.model_copy(update={"train": distill.train.model_copy(update={"steps": steps})})
        return replace(self.bench, recipe=self.bench.recipe.model_copy(update={"distill": distill}))

    def _trained(self, bench: Workbench) -> Student:
        shared = self.works.shared
        first = shared.networks[0] if student_start(bench.recipe) == "teacher" else None
        return train_student(bench, targets=shared.targets, targets_key=shared.key, first_teacher=first)

    def _alone(self, bench: Workbench) -> AbstractContextManager[None]:
        """Candidates that differ in their export alone share a training, which one process does."""
        labels = student_start(bench.recipe) == "labels"
        stage = baseline_stage(bench) if labels else student_stage(bench, self.works.shared.key)
        return locked(self.works.folder / "training" / stage.key, "another process trains this student", patience=_WAIT)


def _begin(study: Any, works: _Works, space: Space, budget_ms: float) -> None:
    """Draw the recipe's own student and the fastest first. EdgekitError where that is over the budget too."""
    known = [trial.user_attrs["cost"]["ms"] for trial in study.get_trials() if "cost" in trial.user_attrs]
    if any(ms <= budget_ms for ms in known):
        return
    costs = [(works.candidate(0, values).cost().ms, values) for values in smallest(space)]
    ms, values = min(costs, key=lambda pair: pair[0])
    if ms > budget_ms:
        raise EdgekitError(
            f"nothing meets {budget_ms:g} ms: the smallest candidate takes {ms:.3g} ms ({works.latency.about})",
            where="--budget",
            fix="raise it, lower export.size, or vary keys that make the network smaller",
        )
    own = own_parameters(works.bench.recipe, space)
    fastest = {key: values[key] if isinstance(part, Choices) else part.low for key, part in space.items()}
    for parameters in filter(None, (own, fastest)):
        study.enqueue_trial(parameters, skip_if_exists=True)


def _points(study: Any, own: Mapping[str, Any] | None, higher_is_better: bool) -> dict[str, Any]:
    """The candidates that were trained to their end, best first, and counts of the others by why they were left."""
    points, left = [], {}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "COMPLETE":
            about = trial.user_attrs
            points.append({"number": trial.number, "score": trial.value, **about["cost"], "values": about["values"]})
            points[-1] |= {"own": trial.params == own, "run": None}
        elif "why" in trial.user_attrs and "twin" not in trial.user_attrs:
            left[trial.user_attrs["why"]] = left.get(trial.user_attrs["why"], 0) + 1
    sign = -1 if higher_is_better else 1

    def cost(point: Mapping[str, Any]) -> tuple[float, ...]:
        return sign * point["score"], point["ms"], point["memory"], point["parameters"]

    points.sort(key=cost)  # the first, the best, is of the front
    costs = [cost(point) for point in points]
    for name, of in (("front", costs), ("fastest", [cost[:2] for cost in costs])):
        best = set(front(of)) if points else set()
        for place, point in enumerate(points):
            point[name] = place in best
    return {"best": points[0]["number"] if points else None, "points": points, "left": left}
