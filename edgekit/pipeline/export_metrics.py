"""Scores of the files of a bundle that is being made, and pictures of their outputs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from edgekit.bundle.manifest import Manifest
from edgekit.export.deploy import Deployed
from edgekit.export.files import ExportPlan
from edgekit.export.golden import synthetic_feed
from edgekit.frames.grid import grid
from edgekit.frames.names import plain
from edgekit.pipeline.evaluation import without
from edgekit.pipeline.scorer import Scorer, predictor
from edgekit.pipeline.subject import Subject
from edgekit.runtime.given import picture_of
from edgekit.tasks import kind_of

FRAME = "frame.png"
_PICTURE_ROWS, _PICTURE_WIDTH = 3, 320

CpuFiles = Mapping[str, Deployed]
"""Precision → the onnxruntime lane's graph."""


def metrics(
    subject: Subject, manifest: Manifest, plan: ExportPlan, files: CpuFiles, most: int | None, *, threads: int
) -> tuple[dict[str, Any], int]:
    """Scores of the module and of the CPU's files on the recipe's evaluated split, by stage; and on how many frames.

    And of the files without what frames may lack.

    ``most`` frames, spread over the split; None: all, 0: none are scored. Nothing for a student without a recipe.
    """
    if subject.bench is None or most == 0:
        return {}, 0
    split = subject.bench.recipe.evaluate.split
    scorer = Scorer(subject.bench, manifest, plan, split, most=most, labelled=False, threads=threads)
    scores = {"module": scorer.module(subject.student)}
    scores |= {precision: scorer.file(deployed, precision) for precision, deployed in files.items()}
    for hidden in without(subject.student):
        for precision, deployed in files.items():
            stage = f"{precision} without {', '.join(hidden)}"
            scores[stage] = scorer.file(deployed, stage, hidden)
    return {stage: found for stage, found in scores.items() if found is not None}, len(scorer.infos)


def card_pictures(subject: Subject, manifest: Manifest, files: CpuFiles, *, threads: int) -> dict[str, bytes]:
    """``<task>.png`` per task: a few frames and the output of each CPU file; none where photographs must not ship.

    And ``frame.png``, a frame to try the bundle on: of the subject's own size, or a drawn one of the network's.
    """
    if manifest.golden.source == "synthetic":
        feed = synthetic_feed(1, manifest.preprocessing)
        shown = {s.task.name: feed[s.input][0] for s in manifest.preprocessing.sensors()}
        return {FRAME: _png(picture_of(shown, manifest.preprocessing))}
    step = max(1, len(subject.check) // _PICTURE_ROWS)
    frames = [shot.read() for shot in subject.check[::step][:_PICTURE_ROWS]]
    answers = {}
    for precision, deployed in files.items():
        run = predictor(deployed, manifest, threads)
        answers[precision] = [run.infer(frame) for frame in frames]
    pictures = [picture_of(frame, manifest.preprocessing) for frame in frames]
    out = {FRAME: _png(pictures[0])}
    for task in manifest.tasks:
        known = [precision for precision, found in answers.items() if task.name in found[0]]
        if not known:
            continue
        rows = [
            [shown, *(kind_of(task).picture(task, answers[precision][i][task.name]) for precision in known)]
            for i, shown in enumerate(pictures)
        ]
        picture = grid(rows, [], ["input", *known], scale=min(1.0, _PICTURE_WIDTH / pictures[0].shape[1]))
        out[f"{plain(task.name)}.png"] = _png(picture)
    return out


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
