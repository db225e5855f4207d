"""How long a network takes on its device, before it is trained: neither weights nor ranges change that."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from edgekit.bench.machine import describe_machine
from edgekit.bench.stopwatch import BenchPlan, measure
from edgekit.boards.lookup import find_board
from edgekit.errors import EdgekitError
from edgekit.export.contract import network_size
from edgekit.export.files import plan_of
from edgekit.export.lanes import ARTIFACT_ROWS, ArtifactRow, row_of
from edgekit.graphs.execute import Runner
from edgekit.graphs.read import dtype_of, tensor_shape
from edgekit.networks import parameter_count
from edgekit.pipeline.draft import draft_files
from edgekit.pipeline.export import Request, export
from edgekit.pipeline.subject import Subject, shots_of
from edgekit.pipeline.workbench import Workbench
from edgekit.preflight.network import network_of
from edgekit.preflight.roofline import estimate, peak_bytes
from edgekit.recipe.schema import ExportSection
from edgekit.remote.registry import find
from edgekit.students.student import Student

_PLAN = BenchPlan(warm_up=0.2, duration=1.0, runs=50)
_FRAMES = 2  # that an untrained network is checked and calibrated with


@dataclass(frozen=True)
class Cost:
    """Of one frame: ``ms``, and the band of an estimate (None where it was measured); ``memory`` in bytes, computed."""

    ms: float
    band_ms: tuple[float, float] | None
    memory: int
    parameters: int


class LatencySource(Protocol):
    """``about``: where and how; ``lane`` of the files that it times, in one of ``precisions``, the fastest first."""

    about: str
    lane: str
    precisions: tuple[str, ...]

    def time(self, model: onnx.ModelProto, bench: Workbench, student: Student, precision: str) -> tuple[float, Any]:
        """(ms of one frame, the band or None)."""


class OnCpu:
    """The exported file in onnxruntime, here: uint8 frame of the network's size to its maps; the median."""

    lane, precisions = "onnxruntime", ("int8", "fp32")

    def __init__(self, threads: int = 1):
        self.about = f"measured on {describe_machine()['processor']}, threads: {threads}"
        self._threads = threads

    def time(self, model: onnx.ModelProto, bench: Workbench, student: Student, precision: str) -> tuple[float, None]:
        run, rng = Runner(model, threads=self._threads), np.random.default_rng(0)
        frame = {
            value.name: rng.integers(0, 256, tensor_shape(value)).astype(dtype_of(value)) for value in model.graph.input
        }

        def once() -> Mapping[str, float]:
            began = time.perf_counter()
            run(frame)
            return {"graph": 1000 * (time.perf_counter() - began)}

        return measure(once, _PLAN).summary("graph").p50, None


class Estimated:
    """A roofline of the graph on a board's GPU."""

    lane, precisions = "weak", ("int8", "fp16")

    def __init__(self, board: str):
        self._board = find_board(board)
        self.about = f"estimated for {self._board.title}"

    def time(self, model: onnx.ModelProto, bench: Workbench, student: Student, precision: str) -> tuple[float, Any]:
        found = estimate(network_of(model, "the candidate"), self._board, precision, "the candidate")
        return found.estimate_ms, (found.estimate_least_ms, found.estimate_most_ms)


class OnBoard:
    """A TensorRT engine on a board over ssh, by `edgekit build` and `bench`; the median with copies."""

    lane, precisions = "weak", ("int8", "fp16")

    def __init__(self, name: str):
        self._name = find(name).name
        self.about = f"measured on the board '{name}'"

    def time(self, model: onnx.ModelProto, bench: Workbench, student: Student, precision: str) -> tuple[float, None]:
        shots = shots_of(bench, bench.recipe.evaluate.split)[:_FRAMES]
        subject = Subject(bench.recipe.name, student.eval(), bench.recipe.export, shots, shots, {}, log=bench.log)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bundle"
            made = export(subject, Request("jetson", out, precision, golden="synthetic", calibration=_FRAMES))
            if not made["holds"]:
                what = f"the untrained network cannot be exported: {made['failed']}"
                raise EdgekitError(
                    what, where=bench.recipe.name, fix="see what `edgekit export` says of such a student"
                )
            self._there("build", out, "--precision", precision)
            found = self._there("bench", out, "--backend", "tensorrt", "--precision", precision)
        return found["timings"]["latency"]["p50"], None

    def _there(self, command: str, bundle: Path, *options: str) -> dict[str, Any]:
        words = [sys.executable, "-m", "edgekit", command, str(bundle), *options, "--on", self._name, "--json"]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        try:
            found = json.loads(done.stdout)
        except ValueError:
            found = {"error": {"what": f"`edgekit {command}` ended with {done.returncode}", "where": self._name}}
        if error := found.get("error"):
            fix = error.get("fix") or f"see what this says: edgekit {' '.join(words[3:])}"
            raise EdgekitError(error["what"], where=error.get("where") or self._name, fix=fix)
        return found


def cost_of(latency: LatencySource, bench: Workbench, student: Student, precision: str) -> Cost:
    """What the bench's student costs in a precision. EdgekitError where it cannot be exported or timed."""
    row = row_of(ARTIFACT_ROWS, f"{latency.lane}/{precision}")
    first = bench.frames.frames(bench.recipe.evaluate.split)[0]
    frame = bench.frames.read(first, ["rgb"])["rgb"].shape[:2]
    model = _row_file(student, bench.recipe.export, frame, row)
    floats = "fp32" if latency.lane == "onnxruntime" else "fp16"
    memory = peak_bytes(network_of(model, "the candidate"), precision, floats=floats)
    ms, band = latency.time(model, bench, student, precision)
    return Cost(ms, band, memory, parameter_count(student))


def _row_file(student: Student, config: ExportSection, frame: tuple[int, int], row: ArtifactRow) -> onnx.ModelProto:
    """The row's file, for frames of this size."""
    size = config.size or network_size(frame, student.input_scale)
    return draft_files([row], student, plan_of(student, config, size, frame), config.quantize)[row.file].model
