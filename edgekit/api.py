"""What the commands do, as functions with results: ``edgekit.distill``, ``edgekit.evaluate``, ``edgekit.export``.

Each takes what the command of its name takes; docs/python.md has examples. ``edgekit.load`` is in edgekit.runtime.load.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgekit.errors import EdgekitError

PathLike = str | os.PathLike[str]
Overrides = Mapping[str, Any] | Sequence[str]
"""Keys of a recipe and their values, ``{"student.width": 48}``; or texts as the option --set takes them."""
ScoreTable = dict[str, dict[str, dict[str, Any]]]
"""Row of the table → task → metric → value."""


@dataclass(frozen=True)
class Requirement:
    """Something that a recipe states must hold, and what was found."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True)
class DistillResult:
    """A finished run, or one that its trial stopped (``distill.unless_better``), without student and scores.

    run, student, table, pictures  its folder, the student's checkpoint, its tables as Markdown, its pictures
    parameters                     of the student
    scores                         on ``split``
    requirements                   those that the recipe states
    document                       all of it and more, as ``result.json`` and ``--json`` have it
    """

    recipe: str
    run: Path
    student: Path | None
    parameters: int | None
    split: str | None
    scores: ScoreTable
    requirements: tuple[Requirement, ...]
    table: Path | None
    pictures: tuple[Path, ...]
    document: dict[str, Any] = field(repr=False)

    @property
    def holds(self) -> bool:
        """Whether every requirement holds."""
        return all(requirement.holds for requirement in self.requirements)


@dataclass(frozen=True)
class EvaluateResult:
    """Scores of a run's models, or of a bundle's files, on ``split``; ``table`` and ``pictures`` of a run alone."""

    name: str
    split: str
    scores: ScoreTable
    table: Path | None
    pictures: tuple[Path, ...]
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class ExportResult:
    """A bundle, or why it was not written.

    holds      whether the outputs of every step of the export agree with the step before; if not, nothing was written
    bundle     the directory or .tar; None where a step failed
    failed     the step that failed and the first tensor that diverges; None where all hold
    artifacts  ``lane/precision`` of each file
    files      name → bytes
    parity     every comparison: step, task, metric, value, limit, holds (None: not asked, not compared)
    """

    holds: bool
    bundle: Path | None
    failed: str | None
    artifacts: tuple[str, ...]
    files: dict[str, int]
    parity: list[dict[str, Any]]
    document: dict[str, Any] = field(repr=False)


def distill(
    recipe: PathLike,
    *,
    overrides: Overrides = (),
    out: PathLike = "runs",
    baseline: bool = True,
    jobs: int | None = None,
    track: str | None = None,
) -> DistillResult | None:
    """Train the teachers of a recipe, compute their ensemble's targets, distil the student and score all of them.

    recipe    a YAML file, the name of a recipe that comes with edgekit, or a run's folder, which is continued
    out       folder of runs; stages that are done in it are not run again
    baseline  also train the student on labels only
    jobs      networks trained at once on a CPU; default: one per core
    track     ``tensorboard``: write the run for it too, in a folder of that name in the run

    Under torchrun the first process gets the result, and the others None. EdgekitError for what the recipe gets wrong;
    a stated requirement that does not hold is no error: see ``DistillResult.holds``.
    """
    from edgekit.pipeline import run as pipeline
    from edgekit.recipe.load import find_recipe
    from edgekit.recipe.shipped import shipped_recipes

    path = Path(recipe)
    if path.is_dir() and str(path) not in shipped_recipes():
        if overrides:
            raise EdgekitError(
                "--set changes a recipe, and this is a run", where="--set", fix="give the recipe's file to --set on"
            )
        run = pipeline.Run.open(path)
    else:
        run = pipeline.Run.of(*find_recipe(path, _texts(overrides)), Path(out))
    document = pipeline.distill_run(run, baseline=baseline, jobs=jobs, track=track)
    if document is None:
        return None
    return DistillResult(
        recipe=run.recipe.name,
        run=Path(document["run"]),
        student=_path(document.get("student")),
        parameters=document.get("parameters"),
        split=document.get("split"),
        scores=document.get("scores", {}),
        requirements=tuple(Requirement(**stated) for stated in document["requirements"]),
        table=_path(document.get("table")),
        pictures=tuple(map(Path, document.get("pictures", ()))),
        document=document,
    )


def evaluate(
    what: PathLike,
    *,
    split: str | None = None,
    recipe: PathLike | None = None,
    backend: str | None = None,
    lane: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    engine: PathLike | None = None,
) -> EvaluateResult:
    """Score the models of a run's folder, or the files of a bundle, on a split of the recipe's data.

    split   default: the recipe's ``evaluate.split``
    recipe  for a bundle: the recipe or run with the data; default: the run under ./runs that it was made of

    The others are for a bundle, as for ``edgekit.load``. EdgekitError where there is neither a run nor a bundle.
    """
    from edgekit.bundle.bundle import shipped_or_here

    path = shipped_or_here(what)
    if not path.exists():
        fix = "give a run's folder, or a bundle's directory or .tar"
        raise EdgekitError("there is no run or bundle here", where=str(path), fix=fix)
    options = {"backend": backend, "lane": lane, "precision": precision, "threads": threads, "engine": engine}
    if path.is_file() or (path / "manifest.json").is_file():
        return _evaluate_bundle(path, split, recipe, options)
    for name, value in {"recipe": recipe, **options}.items():
        if value is not None:
            what = f"--{name} applies to bundles only, and this is not a bundle"
            raise EdgekitError(what, where=str(path), fix="leave it out")
    from edgekit.pipeline import run as pipeline

    run = pipeline.Run.open(path)
    document = pipeline.evaluate_run(run, split or run.recipe.evaluate.split)
    pictures = tuple(map(Path, document["pictures"]))
    return _evaluated(run.recipe.name, document, table=Path(document["table"]), pictures=pictures)


def export(
    run: PathLike | None = None,
    *,
    target: Literal["cpu", "jetson", "rtx", "onnx"] = "cpu",
    precision: Literal["fp32", "fp16", "int8"] | None = None,
    board: str | None = None,
    jetpack: str | None = None,
    compute_capability: Collection[str] = (),
    size: tuple[int, int] | None = None,
    dynamic: Collection[str] = (),
    out: PathLike | None = None,
    frames: PathLike | None = None,
    golden: Literal["recipe", "synthetic"] = "recipe",
    calibration_frames: int | PathLike | None = None,
    metrics: bool = True,
    metric_frames: int | None = None,
    threads: int = 1,
    overrides: Overrides = (),
    deepstream: bool = False,
) -> ExportResult:
    """Make a bundle of a run's student: ONNX files for every runtime of the target, checked against the module.

    run                 a run's folder, or the .pt of a student; default: the run under ./runs that was finished last
    precision           the lowest to make; default: all that the target has
    compute_capability  with ``rtx``: what engines are built for, as "8.9"; default: RTX 30, 40 and 50
    size                (height, width) of the network's input; default: the frames', up to a multiple of 16
    dynamic             ``batch`` and ``size``: dimensions that are left open
    out                 a folder, or a .tar; default: bundles/NAME-TARGET
    frames              a folder of photographs to check with, for a student's .pt
    golden              the frames that the bundle carries; ``synthetic``: no photograph is in it
    calibration_frames  how many of the train split, or a folder of photographs
    metrics             score the files on the recipe's evaluated split, on ``metric_frames`` of it (default: all)
    overrides           keys below ``export.`` alone
    deepstream          files for DeepStream's nvinfer too

    EdgekitError for options that this student cannot have. A step that fails is no error: see ``ExportResult.holds``.
    """
    from edgekit.pipeline import export as pipeline
    from edgekit.pipeline.subject import calibrate_with, latest_run, subject_of

    subject = subject_of(Path(run) if run else latest_run(), _texts(overrides), Path(frames) if frames else None)
    count = calibrate_with(subject, None if calibration_frames is None else str(calibration_frames))
    request = pipeline.Request(
        target=target,
        out=Path(out or f"bundles/{subject.name}-{target}"),
        precision=precision,
        board=board,
        jetpack=jetpack,
        size=size,
        dynamic=frozenset(dynamic),
        golden=golden,
        calibration=count,
        metric_frames=metric_frames if metrics else 0,
        threads=threads,
        deepstream=deepstream,
        capabilities=tuple(compute_capability) or None,
    )
    document = pipeline.export(subject, request)
    return ExportResult(
        holds=document["holds"],
        bundle=_path(document["bundle"]),
        failed=document.get("failed"),
        artifacts=tuple(document.get("artifacts", ())),
        files=document.get("files", {}),
        parity=document["parity"],
        document=document,
    )


def _evaluate_bundle(path: Path, split: str | None, recipe: PathLike | None, options: dict[str, Any]) -> EvaluateResult:
    from edgekit.bundle.bundle import open_bundle
    from edgekit.pipeline.bundle_scores import evaluate_bundle, open_bench

    opened = open_bundle(path)
    bench = open_bench(opened, Path(recipe) if recipe else None, Path("runs"))
    return _evaluated(opened.manifest.name, evaluate_bundle(opened, bench, split, **options))


def _evaluated(
    name: str, document: dict[str, Any], *, table: Path | None = None, pictures: tuple[Path, ...] = ()
) -> EvaluateResult:
    return EvaluateResult(name, document["split"], document["scores"], table, pictures, document)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _texts(overrides: Overrides) -> list[str]:
    """As --set takes them."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={json.dumps(value, default=os.fspath)}" for key, value in overrides.items()]
