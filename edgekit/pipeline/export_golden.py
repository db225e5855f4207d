"""The golden file of an export: answers of the fp32 graphs, and a tolerance for every artifact, measured here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import onnx

from edgekit.bundle.manifest import Artifact, Golden
from edgekit.export.deploy import Deployed
from edgekit.export.files import Bodies, Plan, deployed_files
from edgekit.export.golden import (
    GOLDEN,
    Answers,
    affordable,
    measured,
    packed,
    standardised,
    tolerance_key,
    tolerated,
)
from edgekit.export.lanes import Row
from edgekit.graphs.execute import Runner
from edgekit.graphs.halve import halved

WEAK_INT8 = "int8-weak.onnx"


def golden_of(
    artifacts: Sequence[Artifact],
    files: Mapping[str, Deployed],
    bodies: Bodies,
    frames: np.ndarray,
    plan: Plan,
    source: Literal["recipe", "synthetic"],
    threads: int,
) -> tuple[Golden, bytes]:
    """The manifest's description and the file's content, for ``frames`` or as many of them as there is room for.

    An artifact is measured as its file computes in onnxruntime, unless a TensorRT builder makes something else of it:
    see ``_lowered``.
    """
    exact = list(dict.fromkeys(a.file for a in artifacts if a.precision == "fp32"))
    one = _reference(files, exact, frames[:1], plan, threads)
    frames = frames[: affordable(len(frames), frames[0].nbytes + sum(a.nbytes for a in one.values()))]
    reference = _reference(files, exact, frames, plan, threads)
    seen: dict[str, dict[str, dict[str, float]]] = {}
    tolerance = {}
    for artifact in artifacts:
        body = _lowered(artifact, bodies)
        key = artifact.file if body is None else f"{artifact.file} lowered to {artifact.precision == 'int8'}"
        if key not in seen:
            deployed = files[artifact.file] if body is None else _with_body(artifact, body, plan)
            seen[key] = measured(plan.tasks, deployed.outputs, _answers(deployed, frames, plan, threads), reference)
        tolerance[tolerance_key(artifact)] = tolerated(seen[key], reference)
    return Golden(GOLDEN, len(frames), source, tolerance), packed(frames, reference)


def _lowered(artifact: Artifact, bodies: Bodies) -> onnx.ModelProto | None:
    """What a TensorRT builder is free to make of a weakly typed file; None where it computes what the file says.

    Float32 may be TF32, whose mantissa is float16's; with flags it is float16, or INT8 by the range table.
    """
    if artifact.lane not in ("weak", "cache") or (artifact.lane == "weak" and artifact.precision == "int8"):
        return None
    return bodies[WEAK_INT8] if artifact.precision == "int8" else halved(bodies[artifact.file])


def _with_body(artifact: Artifact, body: onnx.ModelProto, plan: Plan) -> Deployed:
    row = Row(artifact.file, artifact.lane, artifact.precision, artifact.opset)
    return deployed_files([row], {artifact.file: body}, plan)[artifact.file]


def _reference(
    files: Mapping[str, Deployed], names: Iterable[str], frames: np.ndarray, plan: Plan, threads: int
) -> Answers:
    """Output name → answers of the fp32 files."""
    return {k: v for name in names for k, v in _answers(files[name], frames, plan, threads).items()}


def _answers(deployed: Deployed, frames: np.ndarray, plan: Plan, threads: int) -> Answers:
    """Output name → answers to all frames, which go in one at a time."""
    run = Runner(deployed.model, threads=threads)
    if deployed.input.dtype == "uint8":
        feed = frames
    else:
        feed = standardised(frames, plan.preprocessing.mean, plan.preprocessing.std).astype(deployed.input.dtype)
    each = [run(feed[i : i + 1]) for i in range(len(feed))]
    return {name: np.concatenate([answer[name] for answer in each]) for name in run.outputs}
