"""What the files of a bundle that is being made score and show, through the Predictor that a device uses."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.write import write_bundle
from edgekit.evaluate.pictures import as_prediction, spread_out
from edgekit.evaluate.score import score, score_answers
from edgekit.frames.grid import grid
from edgekit.pipeline.subject import Subject
from edgekit.pipeline.targets import encode_inputs
from edgekit.runtime.load import load
from edgekit.runtime.predictor import Predictor
from edgekit.tasks import kind_of
from edgekit.training.progress import Progress

_PICTURE_ROWS, _PICTURE_WIDTH = 3, 320

Files = Mapping[str, bytes]


def metrics(
    subject: Subject, manifest: Manifest, files: Files, most: int | None, *, threads: int
) -> tuple[Manifest, dict[str, Any]]:
    """Scores of the module and of the CPU's files on the recipe's evaluated split, by stage; the manifest with them.

    ``most`` frames, spread over the split; None: all, 0: none are scored. Nothing for a student without a recipe.
    """
    bench = subject.bench
    if bench is None or most == 0:
        return manifest, {}
    infos = bench.frames.frames(bench.recipe.evaluate.split)
    infos = infos if most is None else spread_out(infos, most)
    # Neighbours are no longer neighbours where frames are left out.
    common = {"sequential": bench.frames.sequential and most is None}

    def module(frame, size):
        return as_prediction(subject.student.predict(encode_inputs(bench.frames, frame, ["rgb"])["rgb"].cpu(), size))

    out: dict[str, Any] = {}
    with Progress("scoring module", subject.log) as progress:
        progress.begin(len(infos))
        out["module"] = score(module, bench.frames, infos, bench.tasks, progress=progress.step, **common)
    for precision, predictor in predictors(manifest, files, threads):

        def answer(frame, size, predictor=predictor):
            found = predictor.infer(bench.frames.read(frame, ["rgb"])["rgb"])
            return {task.name: found[task.name] for task in bench.tasks}

        if not {task.name for task in bench.tasks} <= set(predictor.results):
            continue  # the recipe asks for no native map of some task, so there is nothing to score
        with Progress(f"scoring {precision}", subject.log) as progress:
            progress.begin(len(infos))
            out[precision] = score_answers(answer, bench.frames, infos, bench.tasks, progress=progress.step, **common)
    provenance = {**manifest.provenance, "metric_frames": len(infos)}
    return dataclasses.replace(manifest, metrics=out, provenance=provenance), out


def card_pictures(subject: Subject, manifest: Manifest, files: Files, *, threads: int) -> dict[str, bytes]:
    """``<task>.png`` per task: a few frames and what each CPU file says of them; none where frames must not ship."""
    if manifest.golden.source == "synthetic":
        return {}
    step = max(1, len(subject.check) // _PICTURE_ROWS)
    frames = [shot.read() for shot in subject.check[::step][:_PICTURE_ROWS]]
    answers = {
        precision: [predictor.infer(frame) for frame in frames]
        for precision, predictor in predictors(manifest, files, threads)
    }
    out = {}
    for task in manifest.tasks:
        known = [precision for precision, found in answers.items() if task.name in found[0]]
        if not known:
            continue
        rows = [
            [frame, *(kind_of(task).picture(task, answers[precision][i][task.name]) for precision in known)]
            for i, frame in enumerate(frames)
        ]
        picture = grid(rows, [], ["input", *known], scale=min(1.0, _PICTURE_WIDTH / frames[0].shape[1]))
        out[f"{task.name}.png"] = _png(picture)
    return out


def predictors(manifest: Manifest, files: Files, threads: int) -> Iterator[tuple[str, Predictor]]:
    """(precision, Predictor) for each of the onnxruntime lane's artifacts of a bundle that is not written yet."""
    with _unfinished(manifest, files) as bundle:
        for artifact in bundle.artifacts("onnxruntime"):
            with load(bundle, "onnxruntime", artifact.precision, threads) as predictor:
                yield artifact.precision, predictor


@contextmanager
def _unfinished(manifest: Manifest, files: Files) -> Iterator[Bundle]:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        place = Path(folder) / "bundle"
        yield Bundle(write_bundle(manifest, files, place), place, place)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
