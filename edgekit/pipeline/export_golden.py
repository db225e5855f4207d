"""The golden file of an export: answers of the fp32 graphs, and a tolerance for every artifact, measured here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import onnx

from edgekit.bundle.manifest import STANDARDISED, Golden
from edgekit.export.deploy import Deployed
from edgekit.export.files import Bodies, ExportPlan, deployed
from edgekit.export.golden import (
    GOLDEN,
    Answers,
    affordable,
    measured,
    packed,
    standardised,
    together,
    tolerated,
)
from edgekit.export.lanes import ArtifactRow, row_of
from edgekit.graphs.execute import Runner
from edgekit.graphs.halve import halved
from edgekit.runtime.preprocess import Feed


def golden_of(
    rows: Sequence[ArtifactRow],
    files: Mapping[str, Deployed],
    bodies: Bodies,
    frames: Feed,
    plan: ExportPlan,
    source: Literal["recipe", "synthetic"],
    threads: int,
) -> tuple[Golden, bytes]:
    """The manifest's description and the file's content, for ``frames`` or as many of them as there is room for.

    A row is measured as its file computes in onnxruntime, unless a TensorRT builder makes something else of it:
    see ``_lowered``.
    """
    exact = list(dict.fromkeys(row.file for row in rows if row.precision == "fp32"))
    first, count = _first(frames, 1), len(next(iter(frames.values())))
    one = _reference(files, exact, first, plan, threads)
    count = affordable(count, sum(a.nbytes for a in (*first.values(), *one.values())))
    frames = _first(frames, count)
    reference = _reference(files, exact, frames, plan, threads)
    seen: dict[str, dict[str, dict[str, float]]] = {}
    tolerance = {}
    for row in rows:
        body = _lowered(row, rows, bodies)
        key = row.file if body is None else f"{row.file} lowered to {row.precision == 'int8'}"
        if key not in seen:
            made = files[row.file] if body is None else deployed(row, body, plan)
            seen[key] = measured(plan.tasks, made.outputs, _answers(made, frames, plan, threads), reference)
        tolerance[row.key] = tolerated(seen[key], reference)
    return Golden(GOLDEN, count, source, tolerance), packed(frames, reference)


def _first(frames: Feed, count: int) -> Feed:
    return {name: array[:count] for name, array in frames.items()}


def _lowered(row: ArtifactRow, rows: Sequence[ArtifactRow], bodies: Bodies) -> onnx.ModelProto | None:
    """The graph that a TensorRT builder may make of a weakly typed file; None where it keeps the file's types.

    Float32 may be TF32, whose mantissa is float16's; with flags it is float16, or INT8 by the range table.
    """
    if row.lane not in ("weak", "cache") or row.style:
        return None
    return bodies[row_of(rows, "weak/int8").file] if row.precision == "int8" else halved(bodies[row.file])


def _reference(
    files: Mapping[str, Deployed], names: Iterable[str], frames: Feed, plan: ExportPlan, threads: int
) -> Answers:
    """Output name → answers of the fp32 files."""
    return {k: v for name in names for k, v in _answers(files[name], frames, plan, threads).items()}


def _answers(made: Deployed, frames: Feed, plan: ExportPlan, threads: int) -> Answers:
    """Output name → answers to all frames, which go in one at a time."""
    run = Runner(made.model, threads=threads)
    feed, pre = frames, plan.preprocessing
    if made.input.name == STANDARDISED:
        whole = standardised(together(frames, pre), pre.mean, pre.std).astype(made.input.dtype)
        feed = {STANDARDISED: whole}
    count = len(next(iter(feed.values())))
    each = [run({name: array[i : i + 1] for name, array in feed.items()}) for i in range(count)]
    return {name: np.concatenate([answer[name] for answer in each]) for name in run.outputs}
