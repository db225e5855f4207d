"""Whether every step of the export agrees with the one before it: rows of one table, and the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F

from edgekit.bundle.manifest import FRAMES, OutputTensor, Preprocessing
from edgekit.export.body import logits_name
from edgekit.export.compare import (
    COARSE_ERROR,
    EXACT,
    EXACT_AGREEMENT,
    EXACT_ERROR,
    Comparison,
    EqualShare,
    LargestError,
    Maps,
    ParityLimits,
    decoded,
    failures,
    row,
)
from edgekit.export.deploy import LOGITS_ONLY, Deployed, deploy
from edgekit.export.divergence import Divergence, between_graphs, from_module, planes_of
from edgekit.export.fuse import fused
from edgekit.graphs.execute import Runner
from edgekit.runtime.preprocess import Feed
from edgekit.students.student import Student
from edgekit.tasks import Task, kind_of


@dataclass
class Parity:
    """Rows so far ({step, task, metric, value, limit, holds}), and per failed step the first tensor that diverges."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    divergences: dict[str, Divergence | str | None] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not failures(self.rows)

    def failed_steps(self) -> list[str]:
        return list(dict.fromkeys(r["step"] for r in failures(self.rows)))


class Checker:
    """Compares on ``frames``, by input (n, H, W, C) of the network's size, one at a time."""

    def __init__(
        self,
        student: Student,
        body: onnx.ModelProto,
        preprocessing: Preprocessing,
        frames: Feed,
        *,
        threads: int = 1,
    ):
        self.parity = Parity()
        self._student, self._fused = student, fused(student)
        self._tasks: Sequence[Task] = student.tasks
        self._preprocessing, self._frames, self._threads = preprocessing, frames, threads
        self._stride = student.network.stride
        self._exact = self._with_logits(body)
        self._exact_run = Runner(self._exact, threads=threads)

    def modules(self) -> None:
        """Steps ``fused`` (against the module as trained) and ``onnx fp32`` (against the fused module)."""
        folding, exporting = Comparison(self._tasks), Comparison(self._tasks)
        for frame in self._each():
            whole, folded = (_module_logits(s, frame) for s in (self._student, self._fused))
            folding.add(folded, whole)
            exporting.add(self._logits(self._exact_run, frame), folded)
        self.parity.rows += folding.rows("fused", EXACT)
        self._judge(
            "onnx fp32",
            exporting,
            EXACT,
            lambda: from_module(self._exact, self._fused, next(self._each()), EXACT_ERROR),
        )

    def outputs(self, deployed: Deployed, upsampling: str, step: str = "outputs fp32") -> None:
        """The file's outputs against what numpy makes of the module's logits."""
        run, tasks = Runner(deployed.model, threads=self._threads), {task.name: task for task in self._tasks}
        measured = [(o, tasks[o.task], _measure(tasks[o.task], o)) for o in deployed.outputs]
        for frame in self._each():
            takes_planes = (deployed.input.name, deployed.input.dtype) == (FRAMES, "float32")  # DeepStream's
            found = run(planes_of(self._student, frame) if takes_planes else frame)
            logits = _module_logits(self._student, frame)
            for output, task, measure in measured:
                expected = expected_output(task, output, logits[task.name], self._stride, upsampling)
                measure.add(found[output.name][0], expected)
        for output, task, measure in measured:
            if isinstance(measure, EqualShare):
                metric, limit, at_most = f"equal {output.form}", EXACT_AGREEMENT, False
            else:
                metric, limit, at_most = f"error / max {output.form}", output_limit(task, output), True
            self.parity.rows.append(row(step, task.name, metric, measure.value, limit, at_most=at_most))

    def file(self, step: str, body: onnx.ModelProto, limits: ParityLimits) -> None:
        """The step ``step``: the logits of a body of other types, or with Q/DQ, against those of the fp32 graph."""
        model = self._with_logits(body)
        run, comparison = Runner(model, threads=self._threads), Comparison(self._tasks)
        for frame in self._each():
            comparison.add(self._logits(run, frame), self._logits(self._exact_run, frame))
        limit = limits.error or EXACT_ERROR
        self._judge(step, comparison, limits, lambda: between_graphs(model, self._exact, next(self._each()), limit))

    def gate(self, rows: Sequence[dict[str, Any]], body: onnx.ModelProto | None = None) -> None:
        """Add the accuracy gate's rows; where it fails, find the first tensor of ``body`` that integers change.

        None: the file is float, and its logits are the module's.
        """
        self.parity.rows += rows
        for step in {r["step"] for r in failures(rows)}:
            self.parity.divergences[step] = (
                between_graphs(self._with_logits(body), self._exact, next(self._each()), COARSE_ERROR)
                if body
                else "the logits equal the module's, so the loss comes from the size of frames or maps: try "
                "export.upsampling: bilinear or another export.size, or allow more in export.quantize.gate"
            )

    def _judge(self, step: str, comparison: Comparison, limits: ParityLimits, find) -> None:
        rows = comparison.rows(step, limits)
        self.parity.rows += rows
        if failures(rows):
            self.parity.divergences[step] = find()

    def _with_logits(self, body: onnx.ModelProto) -> onnx.ModelProto:
        forms = {task.name: LOGITS_ONLY for task in self._tasks}
        return deploy(body, self._tasks, forms, self._preprocessing, self._stride).model

    def _logits(self, run: Runner, frame: Feed) -> Maps:
        found = run(frame)
        return {task.name: found[logits_name(task.name)] for task in self._tasks}

    def _each(self) -> Iterator[Feed]:
        for i in range(len(next(iter(self._frames.values())))):
            yield {name: array[i : i + 1] for name, array in self._frames.items()}


def _measure(task: Task, output: OutputTensor) -> EqualShare | LargestError:
    return EqualShare() if kind_of(task).form(output.form).content == "index" else LargestError()


@torch.no_grad()
def _module_logits(student: Student, frame: Feed) -> Maps:
    return {name: tensor.numpy() for name, tensor in student(torch.from_numpy(planes_of(student, frame))).items()}


def expected_output(task: Task, output: OutputTensor, logits: np.ndarray, stride: int, upsampling: str) -> np.ndarray:
    """The expected value of a file's output, float64 without batch, from logits (1, C, h, w), by numpy and torch."""
    if not kind_of(task).form(output.form).decided:
        return decoded(task, output.form, logits[0])
    if upsampling == "bilinear" and stride > 1:
        large = F.interpolate(torch.from_numpy(logits), scale_factor=stride, mode="bilinear", align_corners=False)
        return decoded(task, output.form, large[0].numpy())
    small = decoded(task, output.form, logits[0])
    return small.repeat(stride, axis=0).repeat(stride, axis=1)


def output_limit(task: Task, output: OutputTensor) -> float:
    """Most of max|difference| / max|value|: of a level one of its steps, of float16 its rounding, else that of logits.

    Depth is an exponential, of 5.7 at most from 1 to 300 m, by which it enlarges a relative error of its logits.
    """
    if kind_of(task).form(output.form).content == "level":
        return 1.01 / 255
    if output.dtype == "float16":
        return 2e-3
    return 10 * EXACT_ERROR


def parity_summary(parity: Parity, tasks: Sequence[str]) -> str:
    """A line per failed step: the values beyond their limits, and the first tensor that diverges."""
    lines = []
    for step in parity.failed_steps():
        first = parity.divergences.get(step)
        tensor = str(first) if first else f"no tensor before the outputs of {', '.join(tasks)} diverges by itself"
        rows = [row for row in failures(parity.rows) if row["step"] == step]
        lines.append(f"{step} ({'; '.join(_beyond(row) for row in rows)}): {tensor}")
    return "\n".join(lines)


def _beyond(row: dict[str, Any]) -> str:
    value, limit = ("nothing" if row[key] is None else f"{row[key]:.4g}" for key in ("value", "limit"))
    return f"{row['task']}, {row['metric']}: {value}, limit {limit}"
