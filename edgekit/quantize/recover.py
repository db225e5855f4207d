"""From a calibrated graph to one that passes the accuracy gate, by as few changes as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from edgekit.errors import EdgekitError
from edgekit.quantize import gate
from edgekit.quantize.bias import correct_bias
from edgekit.quantize.calibration import Calibration
from edgekit.quantize.choose import calibrate_best
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.differentiable import UnknownOperatorError
from edgekit.quantize.equalise import equalise
from edgekit.quantize.finetune import finetuned
from edgekit.quantize.frames import MakeFrames, some
from edgekit.quantize.gate import TaskScores, TaskVerdict
from edgekit.quantize.sensitivity import LayerSensitivity, Write, decibels, sensitivity
from edgekit.quantize.topology import Topology, named
from edgekit.tasks import Task

MEASURED = 16
"""Frames, spread over those of the calibration, to correct biases and measure layers with."""

Verdicts = tuple[TaskVerdict, ...]

Evaluate = Callable[[ModelProto], TaskScores]
"""Scores of a graph (float or Q/DQ, as the body) on labelled frames."""

ReportProgress = Callable[[str, int, int], None]
"""(what is done, done, of) for a progress bar."""


@dataclass(frozen=True)
class Attempt:
    """One attempt: its name, the gate's verdicts, and whether it was kept, so that later attempts build on it."""

    name: str
    verdicts: Verdicts
    kept: bool
    note: str = ""

    @property
    def holds(self) -> bool:
        return gate.holds(self.verdicts)


@dataclass(frozen=True)
class Recovery:
    """What to ship.

    model        float graph to write Q/DQ into: the one given, equalised, with corrected biases or trained weights
                 where that helped. With either of the last two it is for INT8 alone
    calibration  ranges of ``model``
    keep_float   layers to leave in float
    steps        what was tried, in order
    """

    model: ModelProto
    calibration: Calibration
    keep_float: tuple[str, ...]
    steps: tuple[Attempt, ...]

    @property
    def shipped(self) -> Attempt:
        """The attempt that made what is shipped."""
        return next(step for step in reversed(self.steps) if step.kept)

    @property
    def holds(self) -> bool:
        """Whether what is shipped passes the gate."""
        return self.shipped.holds

    def describe(self) -> dict[str, Any]:
        """For the manifest: the gate's limits, the steps that were needed, the layers left in float and why."""
        return {
            "holds": self.holds,
            "observer": self.calibration.observer,
            "equalised": self.calibration.equalised,
            "biases_corrected": self.calibration.biases_corrected,
            "ways_compared": self.calibration.compared,
            "calibration_frames": self.calibration.count,
            "float_layers": list(self.keep_float),
            "steps": [
                {
                    "step": step.name,
                    "holds": step.holds,
                    "kept": step.kept,
                    "note": step.note,
                    "tasks": [
                        {
                            "task": v.task,
                            "metric": v.metric,
                            "fp32": v.reference,
                            "int8": v.value,
                            "cost": v.cost,
                            "allowed": v.allowed,
                            "unit": v.unit,
                        }
                        for v in step.verdicts
                    ],
                }
                for step in self.steps
            ],
        }


def recover(
    model: ModelProto,
    frames: MakeFrames,
    evaluate: Evaluate,
    write: Write,
    tasks: Sequence[Task],
    *,
    config: QuantizeConfig | None = None,
    calibration: Calibration | None = None,
    reference: TaskScores | None = None,
    report: ReportProgress = lambda what, done, of: None,
) -> Recovery:
    """Calibrate, and where the gate fails: equalise, correct biases, train weights, leave the fewest layers in float.

    A step is kept if it lowers the largest violation of any task, and the next builds on it. Layers are chosen by
    sensitivity: the shortest list of the most sensitive ones that passes, from which every layer that can go back to
    integers without failing the gate then does.

    ``write`` makes the Q/DQ graph, e.g. ``write_qdq`` in the style that is shipped. ``tasks``: those judged.
    ``calibration``: of ``model``, where it is known already; ``reference``: scores of ``model`` in float, likewise.
    """
    search = _Search(named(model), frames, evaluate, write, tasks, config or QuantizeConfig(), report)
    return search.run(calibration, reference)


@dataclass
class _Search:
    """The state of a recovery: ``model``, ``calibration`` and ``keep`` are those of ``best``, the last step kept."""

    model: ModelProto
    frames: MakeFrames
    evaluate: Evaluate
    write: Write
    tasks: Sequence[Task]
    config: QuantizeConfig
    report: ReportProgress

    def run(self, calibration: Calibration | None, reference: TaskScores | None) -> Recovery:
        self.layers = [node.name for node in Topology(self.model).layers()]
        self.keep = self.always = frozenset(self.config.keep_float)
        unknown = sorted(self.always - set(self.layers))
        if unknown:
            raise EdgekitError(
                f"the network has no layer '{unknown[0]}'",
                where="export.quantize.keep_float",
                fix=f"use names of {', '.join(self.layers)}",
            )
        self.steps: list[Attempt] = []
        self.reference = reference if reference is not None else self.evaluate(self.model)
        if calibration is None:
            self.model, calibration = self._calibrate(self.model)
        self.calibration = calibration
        self.uncorrected, self.corrects = self.model, self.calibration.biases_corrected
        self.few = some(self.frames, self.calibration.count, MEASURED) if self.corrects else []
        if self.corrects:
            self.model = self._corrected(self.keep)
        verdicts = self._verdicts(self.model, self.calibration, self.keep)
        self.best = self._record("calibrated", verdicts, kept=True)
        for improve in (self._equalise, self._correct, self._train, self._keep_layers) if self.config.recover else ():
            if not self.best.holds:
                improve()
        kept = tuple(name for name in self.layers if name in self.keep)
        return Recovery(self.model, self.calibration, kept, tuple(self.steps))

    def _equalise(self) -> None:
        if self.calibration.compared:  # it was one of the ways
            return
        equal, calibration = self._calibrate(equalise(self.model))
        if self._is_better("equalised", equal, calibration):
            self.model = self.uncorrected = equal
            self.calibration = calibration

    def _correct(self) -> None:
        self.few = some(self.frames, self.calibration.count, MEASURED)
        if self.corrects:
            return
        corrected = self._corrected(self.always)
        if self._is_better("biases corrected", corrected, self.calibration):
            self.model, self.corrects = corrected, True

    def _train(self) -> None:
        """From the weights before their biases were corrected: they learn biases as well."""
        steps = self.config.train_steps
        if not steps:
            return
        name = "weights trained"
        try:
            trained = finetuned(
                self.uncorrected,
                lambda model: self.write(model, self.calibration.ranges, self.always),
                self.frames,
                steps,
                progress=lambda done: self.report("training weights for integers", done, steps),
            )
        except UnknownOperatorError as error:
            self._record(name, self.best.verdicts, kept=False, note=f"not tried: no gradient is known of {error}")
            return
        if self._is_better(name, trained, self.calibration):
            self.model = self.uncorrected = trained
            self.corrects = False

    def _keep_layers(self) -> None:
        """Binary search for the shortest prefix of the ranking that passes; then integers again where they can be."""
        found = sensitivity(
            self.model,
            self.calibration.ranges,
            self.few,
            self.write,
            progress=lambda done: self.report("measuring layers", done, len(self.layers)),
        )
        failing = {v.task for v in self.best.verdicts if not v.holds}
        ranking = [s.layer for s in sorted(found, key=lambda s: -_disturbs(s, failing)) if s.layer not in self.always]
        tried: dict[frozenset[str], tuple[ModelProto, Verdicts]] = {}

        def passes(chosen: frozenset[str]) -> bool:
            if chosen not in tried:
                self.report("leaving layers in float", len(tried), len(tried) + 1)
                tried[chosen] = self._corrected_or_not(chosen)
            return gate.holds(tried[chosen][1])

        def prefix(count: int) -> frozenset[str]:
            return self.always | frozenset(ranking[:count])

        low, high = 0, len(ranking)  # low fails, high passes
        if not passes(prefix(high)):
            # The gate fails even with every layer in float: the corrected biases or the reference are at fault.
            self._record("layers in float", tried[prefix(high)][1], kept=False, note="all layers")
            return
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if passes(prefix(middle)) else (middle, high)
        chosen = prefix(high)
        for layer in reversed(ranking[:high]):  # the least sensitive first
            if len(chosen) > len(self.always) + 1 and passes(chosen - {layer}):
                chosen = chosen - {layer}
        self.keep = chosen
        self.model, verdicts = tried[chosen]
        why = ", ".join(
            f"{s.layer} (alone {decibels(_disturbs(s, failing)):.0f} dB of signal to noise)"
            for s in found
            if s.layer in chosen
        )
        note = f"{why}; {len(tried)} sets of layers tried"
        self.best = self._record("layers in float", verdicts, kept=True, note=note)

    def _corrected_or_not(self, keep: frozenset[str]) -> tuple[ModelProto, Verdicts]:
        """The graph, and its verdicts, with these layers in float: with corrected biases where they helped before.

        Where that fails, without them: few integers may shift less than the correction's own error.
        """
        for model in (self._corrected(keep), self.uncorrected) if self.corrects else (self.model,):
            verdicts = self._verdicts(model, self.calibration, keep)
            if gate.holds(verdicts):
                break
        return model, verdicts

    def _calibrate(self, model: ModelProto) -> tuple[ModelProto, Calibration]:
        return calibrate_best(
            model,
            self.frames,
            self.config,
            self.tasks,
            [self.write],
            progress=lambda done: self.report("calibrating", done, max(done, self.config.frames)),
        )

    def _corrected(self, keep: frozenset[str]) -> ModelProto:
        return correct_bias(
            self.uncorrected,
            lambda model: self.write(model, self.calibration.ranges, keep),
            self.few,
            progress=lambda done: self.report("correcting biases", done, len(self.layers)),
        )

    def _verdicts(self, model: ModelProto, calibration: Calibration, keep: frozenset[str]) -> Verdicts:
        scores = self.evaluate(self.write(model, calibration.ranges, keep))
        return tuple(gate.judge(self.tasks, self.reference, scores, self.config.gate))

    def _is_better(self, name: str, model: ModelProto, calibration: Calibration) -> bool:
        verdicts = self._verdicts(model, calibration, self.always)
        better = gate.violation(verdicts) < gate.violation(self.best.verdicts)
        step = self._record(name, verdicts, kept=better, note="" if better else "no better than before: left out")
        if better:
            self.best = step
        return better

    def _record(self, name: str, verdicts: Verdicts, *, kept: bool, note: str = "") -> Attempt:
        self.steps.append(Attempt(name, verdicts, kept, note))
        return self.steps[-1]


def _disturbs(layer: LayerSensitivity, tasks: set[str]) -> float:
    """Most noise on an output of the tasks that fail (``<task>_logits``); on any output where none is named so."""
    concerned = [o for o in layer.noise if o.removesuffix("_logits") in tasks] or list(layer.noise)
    return max(layer.noise[o] for o in concerned)
