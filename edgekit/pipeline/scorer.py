"""Graphs that are still in memory, run and scored through the Predictor that a device uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from edgekit.bundle.manifest import Artifact, Manifest
from edgekit.data.source import FrameInfo, spread_out
from edgekit.evaluate.score import Predict, TaskScores, native_maps
from edgekit.export.deploy import Deployed, deploy
from edgekit.export.files import ExportPlan
from edgekit.graphs.execute import Runner
from edgekit.pipeline.evaluation import score_with_progress
from edgekit.pipeline.targets import encode_inputs
from edgekit.pipeline.workbench import Workbench
from edgekit.runtime.backend import Backend
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.preprocess import Feed
from edgekit.students.student import Student
from edgekit.tasks import kind_of


class GraphBackend(Backend):
    """A deployed graph in memory, behind the interface of a runtime."""

    name, lanes = "onnxruntime", ("onnxruntime",)

    def __init__(self, deployed: Deployed, threads: int):
        self.artifact = Artifact("", "onnxruntime", "fp32", 0, deployed.input, deployed.outputs, others=deployed.others)
        self._run = Runner(deployed.model, threads=threads)

    def run(self, feed: Feed | np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        found = self._run(feed)
        return {name: found[name] for name in wanted}

    def describe(self) -> dict[str, Any]:
        return {"backend": self.name, "lane": self.artifact.lane}

    def close(self) -> None:
        pass


def frame_predict(bench: Workbench, run: Predictor, hidden: Collection[str] = ()) -> Predict:
    """What a Predictor says of a frame of the data, without the modalities ``hidden`` and those that the data lacks."""
    seen = [task.name for task in run.manifest.preprocessing.modalities]
    names = [name for name in seen if name not in hidden and name in bench.frames.tasks]
    return lambda frame, size: run.infer(bench.frames.read(frame, names))


def predictor(deployed: Deployed, manifest: Manifest, threads: int) -> Predictor:
    """A Predictor of a graph, with the tasks and pre-processing of ``manifest``."""
    return Predictor(manifest, GraphBackend(deployed, threads))


class Scorer:
    """Scores models on a split of the recipe's data.

    ``most``: as many frames of it, spread over it; None for all. ``labelled``: only those with labels.
    """

    def __init__(
        self,
        bench: Workbench,
        manifest: Manifest,
        plan: ExportPlan,
        split: str,
        *,
        most: int | None,
        labelled: bool,
        threads: int,
    ):
        infos = bench.frames.frames(split)
        self.infos: list[FrameInfo] = [f for f in infos if f.labelled] if labelled else infos
        if most is not None:
            self.infos = spread_out(self.infos, most)
        self._bench, self._plan, self._threads = bench, plan, threads
        self._manifest = dataclasses.replace(manifest, tasks=tuple(bench.tasks), preprocessing=plan.preprocessing)
        # Where frames are left out, consecutive ones are no neighbours in time.
        self._sequential = bench.frames.sequential and not labelled and most is None

    def module(self, student: Student) -> TaskScores:
        """The module as the run's table has it: its logits interpolated to the frame's size."""

        def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
            inputs = encode_inputs(self._bench.frames, frame, [task.name for task in student.modalities])
            return native_maps(self._bench.tasks, student.predict(student.together(inputs).cpu(), size))

        return self._score("module", predict)

    def file(self, deployed: Deployed, title: str, hidden: Collection[str] = ()) -> TaskScores | None:
        """A file's own outputs, without the modalities ``hidden``; None where they lack a task's native map."""
        run = predictor(deployed, self._manifest, self._threads)
        if not {task.name for task in self._bench.tasks} <= set(run.results):
            return None

        return self._score(title, frame_predict(self._bench, run, hidden))

    def body(self, body: Any, title: str) -> TaskScores:
        """A body (float or with Q/DQ), deployed with every task's native map."""
        plan = self._plan
        forms = {task.name: kind_of(task).form_names[:1] for task in plan.tasks}
        deployed = deploy(body, plan.tasks, forms, plan.preprocessing, plan.stride, style=plan.style)
        return self.file(deployed, title)

    def _score(self, title: str, predict: Predict) -> TaskScores:
        bench, title = self._bench, f"scoring {title}"
        return score_with_progress(bench, title, predict, self.infos, bench.tasks, sequential=self._sequential)
