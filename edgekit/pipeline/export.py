"""From a subject to a bundle: bodies, parity, calibration, files, golden outputs, metrics, and the bundle."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from edgekit import __version__
from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import SCHEMA, Golden, Manifest, Precision, Preprocessing, Tensor
from edgekit.bundle.manifest import StudentInfo as StudentFacts
from edgekit.bundle.write import check_place, write_bundle
from edgekit.compile.compiler import PORTABLE_CAPABILITIES, USUAL_CAPABILITIES, check_capabilities, is_there
from edgekit.data.source import spread_out
from edgekit.engine.calibration_cache import scale_table
from edgekit.errors import EdgekitError
from edgekit.export.body import bodies, check_size
from edgekit.export.build_script import SCRIPT, TABLE, build_script, profile_options
from edgekit.export.card import CARD, model_card
from edgekit.export.contract import network_size
from edgekit.export.deepstream import deepstream_files, deepstream_graphs
from edgekit.export.files import ExportPlan, artifacts_of, deployed, plan_of
from edgekit.export.fuse import fused
from edgekit.export.golden import GOLDEN, synthetic_feed
from edgekit.export.lanes import ARTIFACT_ROWS, ArtifactRow, ExportTarget, row_of, rows_for
from edgekit.export.parity import Checker, parity_summary
from edgekit.graphs.halve import halved
from edgekit.networks import parameter_count
from edgekit.networks.macs import multiply_adds
from edgekit.networks.receptive_field import receptive_field
from edgekit.pipeline.compile import compile_export, compiler_rows
from edgekit.pipeline.export_golden import golden_of
from edgekit.pipeline.export_metrics import FRAME, card_pictures, metrics
from edgekit.pipeline.int8 import Quantizer, gate_rows, manifest_ranges
from edgekit.pipeline.rtx_engines import keep_engines
from edgekit.pipeline.scorer import Scorer
from edgekit.pipeline.subject import LazyFrame, Subject, prepared
from edgekit.quantize.gate import judge
from edgekit.runtime.preprocess import Feed
from edgekit.training.progress import Progress

PARITY_FRAMES = 8
"""Frames on which every step is compared with the one before."""
GOLDEN_FRAMES = 4
"""Frames in the bundle with their fp32 answers."""
GATE_FRAMES = 200
"""Most labelled train frames that the gate scores a candidate on."""


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    precision       the lowest to go down to; None: all that the target has
    size            (H, W) of the network's input; None: the recipe's, else that of the frames
    dynamic         ``batch``, ``size`` or both are left open
    golden          frames of the golden file: the recipe's, or drawn ones
    calibration     how many frames to calibrate with; None: as the recipe says
    metric_frames   most frames to score each file on; None: all of the split, 0: no metrics
    deepstream      a graph, a configuration and labels for nvinfer too
    capabilities    CUDA compute capabilities that the target rtx builds engines for; None: the usual ones
    """

    target: ExportTarget
    out: Path
    precision: Precision | None = None
    board: str | None = None
    jetpack: str | None = None
    size: tuple[int, int] | None = None
    dynamic: frozenset[str] = frozenset()
    golden: Literal["recipe", "synthetic"] = "recipe"
    calibration: int | None = None
    metric_frames: int | None = None
    threads: int = 1
    deepstream: bool = False
    capabilities: tuple[str, ...] | None = None

    @property
    def compiled_for(self) -> tuple[str, ...]:
        """What NVIDIA's compiler builds for."""
        return (self.capabilities or PORTABLE_CAPABILITIES) if self.target == "rtx" else USUAL_CAPABILITIES


def export(subject: Subject, request: Request) -> dict[str, Any]:
    """Make the bundle. Returns what `--json` prints; where a gate failed ``holds`` is False and nothing is written.

    EdgekitError for what cannot be asked of this student, and for a place that cannot be written, before any work.
    """
    began = time.perf_counter()
    rows = rows_for(request.target, request.precision, request.board, request.jetpack)
    if request.deepstream and request.target != "jetson":
        raise EdgekitError("DeepStream needs TensorRT", where="--deepstream", fix="use --target jetson")
    _check_capabilities(request)
    check_place(request.out)
    plan = _plan(subject, request)
    student, size = subject.student, plan.preprocessing.size
    with Progress("exporting graphs", subject.log, 1) as progress:
        made = bodies(student, size, sorted({row.opset for row in rows}))
        progress.step(1)
    base = made[min(made)]

    frames = _fitted(spread_out(subject.check, PARITY_FRAMES), plan.preprocessing)
    checker = Checker(student, base, plan.preprocessing, frames, threads=request.threads)
    checker.modules()
    if not checker.parity.holds:
        return _failed(subject, request, checker, began)
    manifest = _draft(subject, request, plan)
    files_of = _bodies(rows, made)
    quantized = None
    if any(row.precision == "int8" for row in rows):
        quantized = _quantizer(subject, request, plan, manifest).quantize(rows, base, subject.calibration)
        rows, files_of = quantized.rows, files_of | quantized.bodies
    files = {row.file: deployed(row, files_of[row.file], plan) for row in {row.file: row for row in rows}.values()}
    _compare(checker, rows, files, files_of, plan, subject.log)
    for_deepstream = {}
    if request.deepstream:
        for_deepstream = deepstream_graphs(base, plan.tasks, plan.preprocessing, plan.stride)
        for graph in for_deepstream.values():
            checker.outputs(graph, plan.style.upsampling, "deepstream")
    if quantized:
        for style, judged in quantized.parity.items():
            checker.gate(judged, next(files_of[row.file] for row in rows if row.style == style))
    if not checker.parity.holds:
        return _failed(subject, request, checker, began)

    artifacts = artifacts_of(rows, files, plan)
    contents = {name: deployed.model.SerializeToString() for name, deployed in files.items()}
    if quantized:
        # The ranges belong to the cache lane's file, in the bundle or not.
        cache = row_of(rows, "cache/int8")
        plain = files[cache.file] if cache else deployed(row_of(ARTIFACT_ROWS, "cache/int8"), quantized.plain, plan)
        ranges = manifest_ranges(quantized.calibration, plain.model.SerializeToString(), plan.preprocessing)
        manifest = replace(manifest, ranges=ranges, quantization=quantized.facts)
    if request.golden == "synthetic":
        frames = synthetic_feed(GOLDEN_FRAMES, plan.preprocessing)
    frames = {name: array[:GOLDEN_FRAMES] for name, array in frames.items()}
    golden, contents[GOLDEN] = golden_of(rows, files, files_of, frames, plan, request.golden, request.threads)
    manifest = replace(manifest, artifacts=artifacts, golden=golden)
    on_cpu = {row.precision: files[row.file] for row in rows if row.lane == "onnxruntime"}
    scores, count = metrics(subject, manifest, plan, on_cpu, request.metric_frames, threads=request.threads)
    for before, after in (("module", "fp32"), ("fp32", "int8")):
        if before in scores and after in scores:
            row = row_of(rows, f"onnxruntime/{after}")
            step = f"{subject.bench.recipe.evaluate.split}: {after} onnxruntime"
            verdicts = judge(student.tasks, scores[before], scores[after], subject.config.quantize.gate)
            checker.gate(gate_rows(step, verdicts), files_of[row.file] if row.style else None)
    if not checker.parity.holds:
        return _failed(subject, request, checker, began)
    with Progress("asking NVIDIA's compiler", subject.log) as progress:
        compiled = compile_export(artifacts, contents, progress, request.compiled_for)
    parity = [*checker.parity.rows, *compiler_rows(compiled), *([] if scores else [_not_scored(request)])]
    manifest = replace(
        manifest,
        parity=tuple(parity),
        metrics=scores,
        provenance={**manifest.provenance, "metric_frames": count},
    )
    pictures = card_pictures(subject, manifest, on_cpu, threads=request.threads)
    contents |= pictures
    if any(a.tensorrt for a in artifacts) and request.target != "rtx":
        profiles = {row.key: profile_options(a.profiles()) for row, a in zip(rows, artifacts, strict=True)}
        contents[SCRIPT] = build_script(rows, profiles).encode()
        if manifest.ranges:
            contents[TABLE] = scale_table(manifest.ranges.tensors).encode()
    contents |= deepstream_files(for_deepstream, plan.tasks, plan.preprocessing)
    contents[CARD] = model_card(manifest, pictures=[name for name in pictures if name != FRAME]).encode()
    write_bundle(manifest, contents, request.out)
    engines = []
    if request.target == "rtx":
        engines = keep_engines(open_bundle(request.out), filter(None, compiled.values()), request.compiled_for)
    return {
        "bundle": str(request.out),
        **_facts(subject, request, checker),
        "parity": parity,
        "size": list(size),
        "artifacts": [row.key for row in rows],
        "files": {name: len(content) for name, content in contents.items()},
        "quantization": manifest.quantization,
        "engines": [str(engine) for engine in engines],
        "metrics": scores,
        "tolerance": golden.tolerance,
        "seconds": _since(began),
    }


def _check_capabilities(request: Request) -> None:
    """EdgekitError for what the compiler cannot build for, where engines are asked for by name."""
    if request.capabilities is None and (request.target != "rtx" or not is_there()):
        return
    if request.target != "rtx":
        raise EdgekitError(
            f"the target {request.target} has no engines", where="--compute-capability", fix="use --target rtx"
        )
    check_capabilities(request.compiled_for)


def _quantizer(subject: Subject, request: Request, plan: ExportPlan, manifest: Manifest) -> Quantizer:
    config = subject.config.quantize
    if request.calibration:
        config = config.model_copy(update={"frames": request.calibration})
    scorer = None
    if subject.bench:
        scorer = Scorer(
            subject.bench, manifest, plan, "train", most=GATE_FRAMES, labelled=True, threads=request.threads
        )
    return Quantizer(config, plan, scorer, subject.log, request.threads)


def _compare(
    checker: Checker, rows: Sequence[ArtifactRow], files, files_of, plan: ExportPlan, log: Path | None
) -> None:
    """The fp32 file's outputs against the module, and every other body's logits against the fp32 graph's."""
    steps = {row.file: row.gate for row in rows if row.gate}
    with Progress("comparing", log, 1 + len(steps)) as progress:
        checker.outputs(files[row_of(rows, "onnxruntime/fp32").file], plan.style.upsampling)
        progress.step(1)
        for done, (file, (name, limits)) in enumerate(steps.items(), 2):
            checker.file(name, files_of[file], limits)
            progress.step(done)


def _facts(subject: Subject, request: Request, checker: Checker) -> dict[str, Any]:
    parity = checker.parity
    return {"name": subject.name, "target": request.target, "holds": parity.holds, "parity": parity.rows}


def _not_scored(request: Request) -> dict[str, Any]:
    """The parity table's row where the files' scores were not set beside the module's."""
    why = "no metrics were asked for" if request.metric_frames == 0 else "no recipe names labelled frames"
    return {"step": "scores", "task": "", "metric": f"not compared: {why}", "value": None, "limit": None, "holds": None}


def _failed(subject: Subject, request: Request, checker: Checker, began: float) -> dict[str, Any]:
    """The result of an export whose gate failed: nothing is written."""
    tasks = [task.name for task in subject.student.tasks]
    failed = parity_summary(checker.parity, tasks)
    return {"bundle": None, **_facts(subject, request, checker), "failed": failed, "seconds": _since(began)}


def _plan(subject: Subject, request: Request) -> ExportPlan:
    student, config = subject.student, subject.config
    frame = subject.frame_size()
    size = request.size or config.size or network_size(frame, student.input_scale)
    check_size(size)
    unknown = request.dynamic - {"batch", "size"}
    if unknown:
        raise EdgekitError(
            f"'{min(unknown)}' cannot be left open", where="--dynamic", fix="use batch, size or batch,size"
        )
    provenance = {k: str(v) for k, v in subject.provenance.items()}
    return plan_of(student, config, size, frame, open_dimensions=request.dynamic, provenance=provenance)


def _bodies(rows: Sequence[ArtifactRow], made: Mapping[int, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """File → body. The fp32 files share one; the fp16 one is it in half precision."""
    return {row.file: halved(made[row.opset]) if row.half else made[row.opset] for row in rows if row.style is None}


def _fitted(shots: Sequence[LazyFrame], preprocessing: Preprocessing) -> Feed:
    """Frames as the network's inputs get them, (n, H, W, C) each."""
    size = preprocessing.size
    inputs = [Tensor(s.input, s.dtype, (1, *size, s.task.channels)) for s in preprocessing.sensors()]
    each = [feed for feed, _ in prepared(shots, preprocessing, inputs)]
    return {tensor.name: np.concatenate([feed[tensor.name] for feed in each]) for tensor in inputs}


def _draft(subject: Subject, request: Request, plan: ExportPlan) -> Manifest:
    """The manifest, without the parts that later steps fill in."""
    student = subject.student
    import torch

    folded = fused(student)
    facts = StudentFacts(
        name=student.name,
        width=student.width,
        parameters=parameter_count(folded),
        multiply_adds=multiply_adds(folded, torch.zeros(1, student.in_channels, *plan.preprocessing.size)),
        stride=plan.stride,
        receptive_field=receptive_field(folded.network, plan.stride, student.in_channels),
    )
    asked = {**asdict(request), "out": request.out.name, "dynamic": sorted(request.dynamic)}
    packages = {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxslim", "onnxruntime")}
    return Manifest(
        schema=SCHEMA,
        name=subject.name,
        edgekit=__version__,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        target=request.target,
        board=request.board,
        jetpack=request.jetpack,
        student=facts,
        tasks=tuple(plan.tasks),
        preprocessing=plan.preprocessing,
        artifacts=(),
        golden=Golden(GOLDEN, 0, request.golden, {}),
        upsampling=plan.style.upsampling,
        provenance={**subject.provenance, "packages": packages, "request": asked},
    )


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 1)
