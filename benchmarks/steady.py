"""What `--steady` does to films: the score of single frames, how much they flicker, and its cost.

    edgekit export RUN --set 'export.outputs.TASK=[classes,logits]' --out BUNDLE
    python benchmarks/steady.py BUNDLE [--recipe RECIPE] [--split SPLIT] [--write]

All frames of a scene count as a film in the order of their names. The file is the bundle's fp32 on one thread. Temporal
consistency is the share of pixels whose class is the same in the next frame, once the motion between the two is undone,
by the source's exact flow where it has such. An answer that never changes has 100 %: read it beside the score.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from results import provenance, table, write_section

from edgekit.bundle.bundle import open_bundle
from edgekit.data.source import FrameInfo
from edgekit.evaluate.score import Predict, main_task, primary_metric, score
from edgekit.pipeline.bundle_scores import open_bench
from edgekit.pipeline.workbench import Workbench
from edgekit.runtime.load import load
from edgekit.runtime.predictor import Predictor

SECTION = "Steady films"
HISTORIES = (0.3, 0.5, 0.7, 0.85)
ALONE = "each frame alone"


def of_films(predictor: Predictor, history: float, read: Callable[[FrameInfo], np.ndarray]) -> Predict:
    """What a stream says of each frame; it begins anew where the frames of another film begin."""
    stream, before = predictor.stream(history), None

    def predict(frame: FrameInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
        nonlocal before
        if before is None or (before.scene, before.index + 1) != (frame.scene, frame.index):
            stream.reset()
        before = frame
        return stream.infer(read(frame))

    return predict


def measure(bundle: Path, bench: Workbench, split: str, histories: Sequence[float] = HISTORIES) -> list[dict]:
    """Of each frame alone and of every history: the score, the temporal consistency, and the mean time of a frame."""
    task = main_task(bench.tasks)
    found, frames = [], bench.frames.frames(split)
    read = lambda frame: bench.frames.read(frame, ["rgb"])["rgb"]  # noqa: E731
    with load(bundle, "onnxruntime", "fp32", 1, [task.name]) as predictor:
        rows = {ALONE: lambda frame, size: predictor.infer(read(frame))}
        rows |= {f"steady, history {history:g}": of_films(predictor, history, read) for history in histories}
        for row, predict in rows.items():
            seconds = 0.0

            def timed(frame: FrameInfo, size: tuple[int, int], predict: Predict = predict) -> dict[str, np.ndarray]:
                nonlocal seconds
                began = time.process_time()
                maps = predict(frame, size)
                seconds += time.process_time() - began
                return maps

            scores = score(timed, bench.frames, frames, [task], sequential=True)
            consistency = scores[task.name]["temporal_consistency"]
            ms = 1000 * seconds / len(frames)
            found.append({"row": row, "score": primary_metric(task, scores), "consistency": consistency, "ms": ms})
    return found


def markdown(measured: dict[str, list[dict]]) -> str:
    rows = [
        [data, found["row"], f"{100 * found['score']:.2f}", f"{100 * found['consistency']:.2f}", f"{found['ms']:.0f}"]
        for data, every in measured.items()
        for found in every
    ]
    header = ["data", "answers", "mIoU %", "temporal consistency %", "CPU ms per frame"]
    return "\n\n".join([provenance(["onnxruntime", "opencv-python-headless"]), table(header, rows, left=2)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, help="each with logits or probabilities of its classes")
    parser.add_argument("--recipe", type=Path, help="whose data is scored; default: of each bundle's run")
    parser.add_argument("--split", help="default: the recipe's")
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    measured = {}
    for path in given.bundles:
        bench = open_bench(open_bundle(path), given.recipe, Path("runs"))
        split = given.split or bench.recipe.evaluate.split
        name = f"{bench.recipe.name}, {split} ({len(bench.frames.frames(split))} frames)"
        measured[name] = measure(path, bench, split)
    text = markdown(measured)
    print(json.dumps(measured) if given.json else text)
    if given.write:
        write_section(SECTION, text)


if __name__ == "__main__":
    main()
