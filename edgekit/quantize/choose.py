"""The way to calibrate: the one whose integers change the float network's own answers least."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import ModelProto

from edgekit.graphs.execute import Runner
from edgekit.quantize.bias import correct_bias
from edgekit.quantize.calibration import Calibration, calibrations
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.equalise import equalise
from edgekit.quantize.frames import MakeFrames, some
from edgekit.quantize.parameters import Range
from edgekit.quantize.sensitivity import Write
from edgekit.tasks import Task, kind_of

JUDGED = 32
"""Frames, spread over those of the calibration, on which answers are compared."""

EQUALISED, CORRECTED = ", equalised", ", biases corrected"
"""What a way is called behind its observer's name."""

_LEAST = 1e-4  # of a change: smaller ones are alike, a hundredth of a point or a ten-thousandth of the distance

Answers = Mapping[str, np.ndarray]
"""Task → native map."""


def calibrate_best(
    model: ModelProto,
    frames: MakeFrames,
    config: QuantizeConfig,
    tasks: Sequence[Task],
    writes: Sequence[Write],
    *,
    progress: Callable[[int], None] = lambda done: None,
    threads: int | None = None,
) -> tuple[ModelProto, Calibration]:
    """By the recipe's observer; where it names none, in the best way. Returns the graph too.

    Ways are those of ``config.observers()``, each with weights as they are and equalised, which is the same function;
    and the best of these once more with corrected biases. Corrected biases are for INT8 alone: the returned graph has
    the original ones, and the caller corrects them when writing INT8.

    What integers change is a task's primary metric with the answers of ``model`` itself in place of labels. That needs
    no labels, and it can be asked of frames that the network was trained on, on which scores against labels are too
    good. The geometric mean over tasks and ``writes`` decides, since their units differ. ``model`` names its outputs
    ``<task>_logits``.
    """
    if config.observer:
        (calibration,) = calibrations(model, frames, config.observers(), progress=progress, threads=threads).values()
        return model, calibration
    graphs = {"": model, EQUALISED: equalise(model)}
    found = {
        f"{name}{how}": (graph, calibration)
        for how, graph in graphs.items()
        for name, calibration in calibrations(
            graph, frames, config.observers(), progress=progress, threads=threads
        ).items()
    }
    samples = some(frames, next(iter(found.values()))[1].count, JUDGED)
    answers = _answers(model, tasks, samples)
    # A score is undefined if the class never occurs (an empty mask); such tasks are ignored in the comparison.
    exact = {name: score for name, score in _scores(tasks, answers, answers).items() if score is not None}

    def change(graph: ModelProto, ranges: Mapping[str, Range]) -> float:
        changes = []
        for write in writes:
            given = _scores(tasks, _answers(write(graph, ranges, frozenset()), tasks, samples), answers)
            changes += [1.0 if given[name] is None else abs(given[name] - score) for name, score in exact.items()]
        return float(np.exp(np.mean(np.log(np.maximum(changes or [_LEAST], _LEAST)))))

    compared = {way: change(graph, calibration.ranges) for way, (graph, calibration) in found.items()}
    best = min(compared, key=compared.__getitem__)
    graph, calibration = found[best]
    corrected = correct_bias(graph, lambda g: writes[-1](g, calibration.ranges, frozenset()), samples[::2])
    compared[f"{best}{CORRECTED}"] = change(corrected, calibration.ranges)
    return graph, dataclasses.replace(
        calibration,
        compared=compared,
        equalised=graph is not model,
        biases_corrected=compared[f"{best}{CORRECTED}"] < compared[best],
    )


def _answers(model: ModelProto, tasks: Sequence[Task], samples: Sequence[np.ndarray]) -> list[Answers]:
    """For each frame: task → native map, at the logits' resolution."""
    run = Runner(model)
    answers = []
    for sample in samples:
        logits = run(sample)
        answers.append(
            {t.name: kind_of(t).decode(t, kind_of(t).activation(t, logits[f"{t.name}_logits"][0])) for t in tasks}
        )
    return answers


def _scores(tasks: Sequence[Task], given: Sequence[Answers], truth: Sequence[Answers]) -> dict[str, float | None]:
    """Task → its primary metric, None where it is undefined."""
    scores = {}
    for task in tasks:
        meter, primary = kind_of(task).meter(task), kind_of(task).primary
        for one, other in zip(given, truth, strict=True):
            meter.update(one[task.name], other[task.name])
        scores[task.name] = meter.result()[primary.name]
    return scores
