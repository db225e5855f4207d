"""What fine-tuning in integers brings back of what integers cost, where they cost little and where they cost much.

    python benchmarks/qat.py RUN [RUN …] [--steps 500] [--write]

For the student of each run: as it was trained; with its channels scaled apart, which leaves the float network as it is
and gives every tensor a wide range; and with weights of 4 bits, which edgekit does not write. Each is scored on the
labelled frames of the run's split in float, in integers by one observer, with equalised channels, and after fine-tuning
on calibration frames of train without those. --write puts the section into RESULTS.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from unittest.mock import patch

import numpy as np
from onnx import ModelProto, numpy_helper
from results import provenance, table, write_section

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.export.body import body
from edgekit.export.deploy import closed, opened
from edgekit.export.files import plan_of
from edgekit.pipeline.int8 import CalibrationFeed, write_style
from edgekit.pipeline.scorer import Scorer
from edgekit.pipeline.subject import subject_of
from edgekit.quantize import qdq
from edgekit.quantize.calibration import calibrations
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.equalise import equalise
from edgekit.quantize.finetune import finetuned
from edgekit.quantize.frames import spread
from edgekit.quantize.topology import Topology, named
from edgekit.tasks import Task, kind_of
from edgekit.training.progress import Progress

Scores = dict[str, float]
"""Task → its primary metric, a share or in its unit."""
SECTION = "Fine-tuning in integers"
FRAMES = 128
"""To calibrate and to fine-tune with."""
APART = 5.0
"""Channels are scaled by 2 to the power of at most this, up or down."""
MOST_OF_4_BITS = 7
OBSERVER = "entropy"
LEAST = 5e-3
"""Of a cost, as a share of the float network's score: what comes back of a smaller one is chance."""


def scaled_apart(model: ModelProto, seed: int = 0) -> ModelProto:
    """The same function, with channels between a convolution and the one behind its ReLU times powers of two."""
    model = named(deepcopy(model))
    topology, rng = Topology(model), np.random.default_rng(seed)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def scale(name: str, factors: np.ndarray) -> None:
        tensors[name].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensors[name]) * factors, name))

    for relu in (node for node in model.graph.node if node.op_type == "Relu"):
        maker, readers = topology.producers.get(relu.input[0]), topology.consumers[relu.output[0]]
        if maker is None or maker.op_type != "Conv" or len(readers) != 1 or len(topology.consumers[relu.input[0]]) != 1:
            continue
        reader, index = readers[0]
        if reader.op_type != "Conv" or index:
            continue
        weight, behind = topology.value(maker.input[1]), topology.value(reader.input[1])
        if behind.ndim != 4 or behind.shape[1] != weight.shape[0]:
            continue  # a depthwise one, or of several groups
        factors = np.float32(2) ** rng.uniform(-APART, APART, weight.shape[0]).astype(np.float32)
        scale(maker.input[1], factors[:, None, None, None])
        if len(maker.input) > 2:
            scale(maker.input[2], factors)
        scale(reader.input[1], 1 / factors[None, :, None, None])
    return model


class Exported:
    """The student of a run, exported to ``out``: its graph for frames of any size, and scores of such graphs."""

    def __init__(self, run: Path, out: Path):
        edgekit.export(run, target="cpu", out=out)
        self.manifest = open_bundle(out).manifest
        subject = subject_of(run)
        student, config, frame = subject.student, subject.config, subject.frame_size()
        size = self.manifest.preprocessing.size
        plan = plan_of(student, config, size, frame)
        split = subject.bench.recipe.evaluate.split
        self.scorer = Scorer(subject.bench, self.manifest, plan, split, most=None, labelled=True, threads=1)
        self.fixed = body(student, size)
        self.model = opened(self.fixed, student.network.stride, frozenset({"size"}))
        self.frames = CalibrationFeed(spread(subject.calibration, FRAMES), plan.preprocessing)

    def scores(self, model: ModelProto, title: str) -> Scores:
        found = self.scorer.body(closed(model, self.fixed), title)
        return {t.name: found[t.name][kind_of(t).primary.name] for t in self.manifest.tasks}


def measure(run: Path, out: Path, steps: int) -> dict[str, dict[str, Scores]]:
    """Case → way → scores."""
    exported = Exported(run, out)
    found = {}
    for case, model, most in (
        ("as trained", exported.model, None),
        ("channels scaled apart", scaled_apart(exported.model), None),
        ("weights of 4 bits", exported.model, MOST_OF_4_BITS),
    ):
        with patch.object(qdq, "REDUCED_MOST", most or qdq.REDUCED_MOST):
            scores = {"float": exported.scores(model, f"{case}, float")}
            for way, graph in (("integers", model), ("equalised", equalise(model))):
                scores[way] = exported.scores(_writer(graph, exported, most)(graph), f"{case}, {way}")
            write = _writer(model, exported, most)
            with Progress("fine-tuning", None, steps) as progress:
                trained = finetuned(model, write, exported.frames, steps, progress=progress.step)
            scores["fine-tuned"] = exported.scores(write(trained), f"{case}, fine-tuned")
        found[case] = scores
    return found


def _writer(model: ModelProto, exported: Exported, most: int | None) -> Callable[[ModelProto], ModelProto]:
    """Integers by the ranges of ``model``."""
    ranges = calibrations(model, exported.frames, QuantizeConfig(observer=OBSERVER).observers())[OBSERVER].ranges
    return lambda graph: write_style(graph, ranges, frozenset(), style="onnxruntime", reduce_range=most is not None)


def rows(name: str, tasks: Sequence[Task], found: Mapping[str, Mapping[str, Scores]]) -> list[list[str]]:
    """A row per case and task: its metric in float, and what each way costs; then what fine-tuning brings back."""
    made = []
    for case, scores in found.items():
        for task in tasks:
            metric = kind_of(task).primary
            factor, digits = (100, 2) if metric.higher_is_better else (1, 4)
            sign = -1 if metric.higher_is_better else 1
            cost = {way: sign * factor * (s[task.name] - scores["float"][task.name]) for way, s in scores.items()}
            least = LEAST * factor * scores["float"][task.name]
            back = f"{1 - cost['fine-tuned'] / cost['integers']:.0%}" if cost["integers"] > least else "-"
            made.append(
                [
                    name,
                    case,
                    f"{task.name}: {metric.name}{' %' if factor == 100 else ''}",
                    f"{factor * scores['float'][task.name]:.{digits}f}",
                    *(f"{cost[way]:+.{digits}f}" for way in ("integers", "equalised", "fine-tuned")),
                    back,
                ]
            )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=500, help="of fine-tuning")
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    given = parser.parse_args()
    lines, students = [], []
    with tempfile.TemporaryDirectory() as folder:
        for i, run in enumerate(given.runs):
            found = measure(run, Path(folder, str(i)), given.steps)
            student = open_bundle(Path(folder, str(i))).manifest
            students.append(student.student.name)
            lines += rows(student.student.name, student.tasks, found)
    header = [
        "student",
        "case",
        "metric",
        "float",
        "integers cost",
        "equalised",
        f"{given.steps} steps",
        "brought back",
    ]
    text = (
        f"Integers by the observer `{OBSERVER}`; what they cost, without anything, with equalised channels, and after\n"
        "fine-tuning alone. Scored on all labelled frames of the run's split. Brought back: the share of what\n"
        "integers cost, where that is more than 0.5 % of the float network's score. Channels scaled apart: by 2 to\n"
        f"the power of at most {APART:g}, up or down, undone by the layer behind; the float network is the same."
    )
    page = "\n\n".join([provenance(("torch", "onnx", "onnxruntime")), table(header, lines, left=3), text])
    print(page)
    if given.write:
        write_section(SECTION, page)


if __name__ == "__main__":
    main()
