"""Graphs that are still in memory, run and scored through the Predictor that a device uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.bundle.manifest import Artifact, Manifest
from edgekit.data.source import FrameInfo
from edgekit.evaluate.pictures import as_prediction, spread_out
from edgekit.evaluate.score import Scores, score, score_answers
from edgekit.export.deploy import Deployed, deploy
from edgekit.export.files import Plan
from edgekit.graphs.execute import Runner
from edgekit.pipeline.targets import encode_inputs
from edgekit.pipeline.workbench import Workbench
from edgekit.runtime.backend import Backend
from edgekit.runtime.predictor import Predictor
from edgekit.students.student import Student
from edgekit.tasks import Task, kind_of
from edgekit.training.progress import Progress


class GraphBackend(Backend):
    """A deployed graph in memory, behind the interface of a runtime."""

    name, lanes = "onnxruntime", ("onnxruntime",)

    def __init__(self, deployed: Deployed, threads: int):
        self.artifact = Artifact("", "onnxruntime", "fp32", 0, deployed.input, deployed.outputs)
        self._run = Runner(deployed.model, threads=threads)

    def run(self, feed: np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        found = self._run(feed)
        return {name: found[name] for name in wanted}

    def describe(self) -> dict[str, Any]:
        return {"backend": self.name, "lane": self.artifact.lane}

    def close(self) -> None:
        pass


def predictor(deployed: Deployed, manifest: Manifest, threads: int) -> Predictor:
    """A Predictor of a graph; of ``manifest`` only tasks and pre-processing matter."""
    return Predictor(manifest, GraphBackend(deployed, threads))


class Scorer:
    """Scores models on a split of the recipe's data.

    ``most``: as many frames of it, spread over it; None for all. ``labelled``: only those with labels.
    """

    def __init__(
        self,
        bench: Workbench,
        manifest: Manifest,
        plan: Plan,
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
        # Neighbours are no longer neighbours where frames are left out.
        self._sequential = bench.frames.sequential and not labelled and most is None

    def module(self, student: Student) -> Scores:
        """The module as the run's table has it: its logits interpolated to the frame's size."""

        def answer(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
            rgb = encode_inputs(self._bench.frames, frame, ["rgb"])["rgb"].cpu()
            return as_prediction(student.predict(rgb, size))

        with Progress("scoring module", self._bench.log) as progress:
            progress.begin(len(self.infos))
            return score(answer, *self._what(), sequential=self._sequential, progress=progress.step)

    def file(self, deployed: Deployed, title: str) -> Scores | None:
        """A file's own outputs; None where they do not make every task's native map."""
        run = predictor(deployed, self._manifest, self._threads)
        if not {task.name for task in self._bench.tasks} <= set(run.results):
            return None

        def answer(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
            return run.infer(self._bench.frames.read(frame, ["rgb"])["rgb"])

        with Progress(f"scoring {title}", self._bench.log) as progress:
            progress.begin(len(self.infos))
            return score_answers(answer, *self._what(), sequential=self._sequential, progress=progress.step)

    def body(self, body: Any, title: str) -> Scores:
        """A body (float or with Q/DQ), deployed with every task's native map."""
        plan = self._plan
        forms = {task.name: kind_of(task).form_names[:1] for task in plan.tasks}
        deployed = deploy(body, plan.tasks, forms, plan.preprocessing, plan.stride, style=plan.style)
        return self.file(deployed, title)

    def _what(self) -> tuple[Any, list[FrameInfo], list[Task]]:
        return self._bench.frames, self.infos, self._bench.tasks
