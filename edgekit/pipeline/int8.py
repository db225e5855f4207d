"""INT8 of a subject: one calibration, the accuracy gate for each style of Q/DQ, and the bodies of every lane."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgekit.bundle.manifest import SIZE_MULTIPLE, Preprocessing, Ranges, Tensor
from edgekit.export.body import INPUT
from edgekit.export.compare import row as parity_row
from edgekit.export.deploy import closed, opened
from edgekit.export.files import ExportPlan
from edgekit.export.lanes import ArtifactRow
from edgekit.graphs.read import consumers
from edgekit.pipeline.scorer import Scorer
from edgekit.pipeline.subject import LazyFrame, prepared
from edgekit.quantize.bias import correct_bias
from edgekit.quantize.calibration import Calibration
from edgekit.quantize.choose import calibrate_best
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.frames import some, spread
from edgekit.quantize.gate import TaskVerdict
from edgekit.quantize.qdq import write_qdq
from edgekit.quantize.recover import MEASURED, Recovery, recover
from edgekit.tasks import Task
from edgekit.training.progress import Progress


@dataclass(frozen=True)
class CalibrationFeed:
    """Frames as the body takes them, standardised, made anew for every pass.

    Without most of their padding: each is as large as its content, rounded up to a multiple of 16. A network larger
    than the frames would otherwise be calibrated for one colour.
    """

    shots: Sequence[LazyFrame]
    preprocessing: Preprocessing

    def __call__(self) -> Iterator[np.ndarray]:
        """(1, C, h, w) float32 each, an array of its own."""
        tensor = Tensor(INPUT, "float32", (1, len(self.preprocessing.mean), *self.preprocessing.size))
        for feed, placement in prepared(self.shots, self.preprocessing, [tensor]):
            rows, columns = (-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in placement.content)
            yield np.ascontiguousarray(feed[INPUT][:, :, :rows, :columns])


def calibrated(
    body: onnx.ModelProto,
    feed: CalibrationFeed,
    config: QuantizeConfig,
    tasks: Sequence[Task],
    styles: Iterable[str],
    log: Path | None,
    threads: int | None,
) -> tuple[onnx.ModelProto, Calibration]:
    """``calibrate_best`` of ``body``, open in its size, for all the styles; with a progress bar."""
    writes = [partial(write_style, style=style, reduce_range=config.reduce_range) for style in styles]
    with Progress("calibrating", log, len(feed.shots)) as progress:
        return calibrate_best(body, feed, config, tasks, writes, progress=progress.step, threads=threads)


@dataclass(frozen=True)
class Quantized:
    """What quantization made.

    rows         those asked for; the cache lane's INT8 has a file of its own where its weights are not those of fp32
    bodies       file → its graph, for each row with Q/DQ and that file
    plain        the float graph that the ranges belong to
    calibration  the ranges of that graph
    parity       for each style of Q/DQ, a row per task that the gate judged
    facts        the manifest's section
    """

    rows: tuple[ArtifactRow, ...]
    bodies: dict[str, onnx.ModelProto]
    plain: onnx.ModelProto
    calibration: Calibration
    facts: dict[str, Any]
    parity: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Quantizer:
    """``scorer`` measures accuracy for the gate; None where there are no labels: then nothing is gated.

    It scores labelled frames of ``train``, since it decides which layers stay in float, and that must not be decided
    on the split that is reported.
    """

    config: QuantizeConfig
    plan: ExportPlan
    scorer: Scorer | None
    log: Path | None
    threads: int

    def quantize(self, rows: Sequence[ArtifactRow], body: onnx.ModelProto, shots: Sequence[LazyFrame]) -> Quantized:
        """Calibrate ``body`` over some of ``shots``, spread over their scenes, and write what the rows need."""
        feed = CalibrationFeed(spread(shots, self.config.frames), self.plan.preprocessing)
        free = opened(body, self.plan.stride, frozenset({"size"}))
        asked = [row for row in rows if row.style]
        styles = dict.fromkeys(row.style for row in asked)
        free, calibration = calibrated(free, feed, self.config, self.plan.tasks, styles, self.log, self.threads)
        if self.scorer is None:
            kept = sorted(self.config.keep_float)
            models = {style: closed(self._corrected(free, style, feed, calibration), body) for style in styles}
            found = {style: Recovery(model, calibration, tuple(kept), ()) for style, model in models.items()}
            facts = {"gate": None, "why": "there are no labelled frames to judge with", "float_layers": kept}
            parity = {}
        else:
            reference = self.scorer.body(body, "fp32 at the gate")
            found = {style: self._recover(style, free, body, feed, calibration, reference) for style in styles}
            facts = {style: one.describe() for style, one in found.items()}
            parity = {style: gate_rows(f"int8 {style}", one.shipped.verdicts) for style, one in found.items()}
        bodies = {}
        for row in asked:
            recovery = found[row.style]
            keep = frozenset(recovery.keep_float)
            ranges = recovery.calibration.ranges
            bodies[row.file] = write_row(row, recovery.model, ranges, keep, reduce_range=self.config.reduce_range)
        plain = body
        # The cache lane uses the TensorRT style's result if there is one: TensorRT's rows are the last of the table.
        recovery = found[asked[-1].style]
        if recovery.calibration is not calibration or _changed(recovery, body):
            plain = recovery.model
            rows = [row.of_other_weights() if row.key == "cache/int8" else row for row in rows]
            bodies |= {row.file: plain for row in rows if row.key == "cache/int8"}
        return Quantized(tuple(rows), bodies, plain, recovery.calibration, facts, parity)

    def _corrected(self, free, style: str, feed: CalibrationFeed, calibration: Calibration) -> onnx.ModelProto:
        """What to write integers into where nothing is gated."""
        if not calibration.biases_corrected:
            return free
        write = partial(write_style, style=style, reduce_range=self.config.reduce_range)
        keep = frozenset(self.config.keep_float)
        few = some(feed, calibration.count, MEASURED)
        return correct_bias(free, lambda model: write(model, calibration.ranges, keep), few)

    def _recover(self, style: str, free, body, feed: CalibrationFeed, calibration: Calibration, reference) -> Recovery:
        """``free`` is ``body`` for any size, as calibration frames have; what is scored has the size shipped."""
        attempts = itertools.count(1)

        def evaluate(model: onnx.ModelProto):
            return self.scorer.body(closed(model, body), f"int8 {style}, attempt {next(attempts)}")

        write = partial(write_style, style=style, reduce_range=self.config.reduce_range)
        report = _Reporter(self.log)
        try:
            found = recover(
                free,
                feed,
                evaluate,
                write,
                self.plan.tasks,
                config=self.config,
                calibration=calibration,
                reference=reference,
                report=report,
            )
            return dataclasses.replace(found, model=closed(found.model, body))
        finally:
            report.end()


def manifest_ranges(calibration: Calibration, plain_file: bytes, preprocessing: Preprocessing) -> Ranges:
    """The manifest's section, tied to the cache lane's file and the pre-processing by their SHA-256.

    A tensor that only a ReLU reads gets the range of the ReLU's output: without a range TensorRT may leave its layers
    out of INT8, and values outside that range are lost behind the ReLU anyway.
    """
    contract = json.dumps(dataclasses.asdict(preprocessing), sort_keys=True)
    found = calibration.manifest(
        model=hashlib.sha256(plain_file).hexdigest(),
        preprocessing=hashlib.sha256(contract.encode()).hexdigest(),
    )
    read = consumers(onnx.load_from_string(plain_file).graph)
    tensors = dict(found.tensors)
    for name in found.unranged:
        readers = read.get(name, [])
        if len(readers) == 1 and readers[0].op_type == "Relu" and readers[0].output[0] in tensors:
            tensors[name] = tensors[readers[0].output[0]]
    return dataclasses.replace(found, tensors=tensors, unranged=tuple(n for n in found.unranged if n not in tensors))


def write_row(
    row: ArtifactRow, body: onnx.ModelProto, ranges, keep: frozenset[str], *, reduce_range: bool
) -> onnx.ModelProto:
    """Q/DQ in the row's style and types."""
    if row.half:
        return write_qdq(body, ranges, style="tensorrt", dtype="float16", keep_float=keep)
    return write_style(body, ranges, keep, style=row.style, reduce_range=reduce_range)


def write_style(
    body: onnx.ModelProto, ranges, keep: frozenset[str], *, style: str, reduce_range: bool
) -> onnx.ModelProto:
    """Q/DQ in float32 types.

    On the CPU what reads the frame stays float: with three channels onnxruntime's integer kernel is no faster, and
    behind integers its optimizer computes the normalisation on interleaved colours, which took half of all the time.
    """
    if style == "tensorrt":
        return write_qdq(body, ranges, style="tensorrt", keep_float=keep)
    first = {node.name for node in consumers(body.graph)[INPUT]}
    return write_qdq(body, ranges, style="onnxruntime", keep_float=keep | first, reduce_range=reduce_range)


def _changed(recovery: Recovery, body: onnx.ModelProto) -> bool:
    """Whether weights or biases are others than the body's."""
    before, after = (
        {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
        for model in (body, recovery.model)
    )
    return before != after


def gate_rows(step: str, verdicts: Sequence[TaskVerdict]) -> list[dict[str, Any]]:
    """The gate's verdicts as rows of the parity table."""
    return [
        parity_row(
            step,
            verdict.task,
            f"cost in {verdict.metric}, {verdict.unit}",
            float("nan") if verdict.cost is None else verdict.cost,
            verdict.allowed,
            at_most=True,
        )
        for verdict in verdicts
    ]


class _Reporter:
    """A progress bar for every phase, one after the other."""

    def __init__(self, log: Path | None):
        self._log = log
        self._what = ""
        self._bar: Progress | None = None

    def __call__(self, what: str, done: int, of: int) -> None:
        if what != self._what:
            self.end()
            self._what, self._bar = what, Progress(what, self._log, of)
        self._bar.step(done)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.end()
        self._bar, self._what = None, ""
