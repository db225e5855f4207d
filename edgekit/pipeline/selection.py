"""`edgekit data select`: the frames of a run, a recipe, an extraction or a folder, measured, chosen and shown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.dronescapes.description import read_description
from edgekit.data.dronescapes.source import ANNOTATED, USUAL_SETS
from edgekit.data.frameset import FrameSet
from edgekit.data.image_folder.listing import find_files, read_names
from edgekit.data.select.choose import choose
from edgekit.data.select.greedy import to_nearest
from edgekit.data.select.measure import CandidateFrame, Predicted, measure
from edgekit.data.source import FrameInfo
from edgekit.distill.targets import TargetStore
from edgekit.errors import EdgekitError
from edgekit.extract.files import HIDDEN
from edgekit.extract.record import read_plan, read_record
from edgekit.frames.files import write_text
from edgekit.frames.images import PHOTO_SUFFIXES, read_rgb, write_png
from edgekit.frames.names import components
from edgekit.pipeline.run import Run
from edgekit.pipeline.selection_page import selection_page
from edgekit.pipeline.stages import targets_stage
from edgekit.pipeline.workbench import open_data
from edgekit.recipe.load import find_recipe
from edgekit.tasks.task import IGNORE
from edgekit.training.progress import Progress

_NOT_TRAINED = {name for split in ("val", "test") for name in USUAL_SETS[split]}


def select_frames(
    source: Path,
    overrides: Sequence[str],
    out: Path,
    *,
    count: int,
    keep: Path | None = None,
    weights: Mapping[str, float] | None = None,
    method: str = "facility-location",
    images: Path | None = None,
) -> dict[str, Any]:
    """Choose ``count`` frames, write their names to ``out`` behind those listed in ``keep``, and a page beside it.

    ``images``: a folder for the chosen frames as PNG. EdgekitError where there are too few that can be read.
    """
    began = time.monotonic()
    shown = out.with_name(f"{out.name}.html")
    candidates = candidates_of(source, overrides)
    for name in (c.name for c in candidates):
        if name.startswith("#") or [name] != name.strip().splitlines():
            raise EdgekitError(f"a list cannot hold the name {name!r}", where=str(source), fix="rename the frame")
    names = [] if keep is None else read_names(keep, {c.name for c in candidates})
    with Progress("measuring frames") as bar:
        measured = measure(candidates, bar.count)
    place = {frame.name: i for i, frame in enumerate(measured.frames)}
    kept = [place[name] for name in names if name in place]
    if count > len(place) - len(kept):
        raise EdgekitError(
            f"{count} frames are asked for, and {len(place) - len(kept)} can be chosen: {len(measured.unread)} of "
            f"{len(candidates)} cannot be read, {len(kept)} are kept",
            where="--count",
            fix=f"give at most {len(place) - len(kept)}",
        )
    ranking = choose(measured, count, kept=kept, weights=weights, method=method)
    order, everything = ranking.choice.order, kept + ranking.choice.order
    predicted = measured.disagreement.size or measured.shares
    even = [(2 * i + 1) * len(place) // (2 * len(everything)) for i in range(len(everything))]
    found = {
        "out": str(out),
        "page": str(shown),
        "frames": len(place),
        "scenes": Counter(frame.scene for frame in measured.frames),
        "kept": names,
        "chosen": [
            {
                "frame": measured.frames[i].name,
                "scene": measured.frames[i].scene,
                "quality": round(float(ranking.quality[i]), 4),
                "relevance": round(float(ranking.relevance[i]), 4) if predicted else None,
                "gain": round(gain, 6),
                "why": ranking.why[i],
            }
            for i, gain in zip(order, ranking.choice.gains, strict=True)
        ],
        "unread": [{"frame": name, "what": what} for name, what in measured.unread.items()],
        "mean_distance": float(to_nearest(ranking.features, everything).mean()),
        "mean_distance_evenly_spaced": float(to_nearest(ranking.features, even).mean()),
    }
    write_text(out, "".join(f"{name}\n" for name in [*names, *(c["frame"] for c in found["chosen"])]))
    write_text(shown, selection_page(measured, ranking, kept, found))
    for i in order if images else []:
        path = images / components(measured.frames[i].name, where=str(source))
        known = path.suffix.lower() in PHOTO_SUFFIXES
        write_png(path.with_suffix(".png") if known else path.with_name(f"{path.name}.png"), measured.frames[i].rgb())
    return found | {"seconds": time.monotonic() - began}


def candidates_of(source: Path, overrides: Sequence[str] = ()) -> list[CandidateFrame]:
    """The frames of a folder of photographs or a result of `edgekit data extract`; of a run or recipe, those of train.

    A run adds what its ensemble predicted, an extraction what its experts did. EdgekitError if no frame is found.
    """
    if not source.is_dir() or (source / "run.json").is_file():
        return _of_run(source) if source.is_dir() else _of_recipe(source, overrides)
    if overrides:
        raise EdgekitError("--set changes a recipe, and this is a folder", where=str(source), fix="leave --set out")
    return _of_extraction(source) if (source / HIDDEN).is_dir() else _of_photographs(source)


def _of_photographs(folder: Path) -> list[CandidateFrame]:
    files = find_files(folder, ".", []).values()
    if not files:
        fix = f"name a folder with files of {', '.join(PHOTO_SUFFIXES)}"
        raise EdgekitError("the folder has no photographs", where=str(folder), fix=fix)
    return [
        CandidateFrame(
            path.relative_to(folder).as_posix(), path.parent.relative_to(folder).name, partial(read_rgb, path)
        )
        for path in files
    ]


def _of_recipe(source: Path, overrides: Sequence[str]) -> list[CandidateFrame]:
    recipe, base = find_recipe(source, overrides)
    frames = FrameSet(open_data(recipe, base))
    return [CandidateFrame(f.name, f.scene, _reader(frames, f)) for f in frames.frames("train")]


def _of_run(folder: Path) -> list[CandidateFrame]:
    bench = Run.open(folder).bench()
    stage = targets_stage(bench)
    if stage.result() is None:
        fix = f"edgekit distill {folder}, or choose by the recipe, without predictions"
        raise EdgekitError("the run's ensemble has not predicted the train frames yet", where=str(folder), fix=fix)
    store = TargetStore(stage.folder, bench.tasks, bench.recipe.targets, cache_bytes=0)

    def predicted(frame: FrameInfo) -> Predicted:
        targets = store.read(frame)
        classes = [targets[task.name].soft for task in bench.tasks if task.classes]
        return Predicted([1 - float(np.mean(targets[task.name].agreement)) for task in bench.tasks], classes)

    frames = FrameSet(bench.frames.source)
    return [
        CandidateFrame(f.name, f.scene, _reader(frames, f), partial(predicted, f)) for f in bench.frames.frames("train")
    ]


def _reader(frames: FrameSet, frame: FrameInfo) -> Callable[[], np.ndarray]:
    return lambda: frames.read(frame, ["rgb"])["rgb"]


def _of_extraction(out: Path) -> list[CandidateFrame]:
    """Frames of the sets that are trained on."""
    plan, description = read_plan(out), read_description(out)
    if description is None or "rgb" not in description.tasks:
        raise EdgekitError("the folder has no description", where=str(out), fix="extract again: it writes one")
    tree, tasks = plan.tree(out), description.tasks
    unsure = [tasks[name] for name in plan.disagreements if name in tasks]
    classes = [task for name, task in tasks.items() if task.classes and name in plan.keys]

    def predicted(folder: str, name: str) -> Predicted:
        means = [_mean(tree.read_if_whole(folder, name, task)) for task in unsure]
        return Predicted(means, [_one_hot(tree.read_if_whole(folder, name, t), len(t.classes)) for t in classes])

    candidates = []
    for folder, film in plan.films:
        if folder.removesuffix(ANNOTATED) in _NOT_TRAINED:
            continue
        record = read_record(out, folder, film)
        for name in record.names if record else []:
            rgb = partial(tree.read, folder, name, tasks["rgb"])
            candidates.append(CandidateFrame(name, film, rgb, partial(predicted, folder, name)))
    folders = sorted({folder for folder, _ in plan.films})
    if folders and all(folder.removesuffix(ANNOTATED) in _NOT_TRAINED for folder in folders):
        what = f"all frames belong to sets that are scored on, and not trained on: {', '.join(folders)}"
        raise EdgekitError(what, where=str(out), fix="put films to choose from into train_set")
    if not candidates:
        raise EdgekitError("no frame was extracted yet", where=str(out), fix="run `edgekit data extract` first")
    return candidates


def _mean(disagreement: np.ndarray | None) -> float:
    known = None if disagreement is None else disagreement[~np.isnan(disagreement)]
    return float(known.mean()) if known is not None and known.size else float("nan")


def _one_hot(indices: np.ndarray | None, classes: int) -> np.ndarray:
    """(h, w, C), of each fourth pixel; pixels without a class, and maps that are missing, say the same of each."""
    if indices is None:
        return np.full((1, 1, classes), 1 / classes, np.float32)
    small = indices[::4, ::4]
    answer = np.vstack([np.eye(classes), np.full(classes, 1 / classes)]).astype(np.float32)
    return answer[np.where(small == IGNORE, classes, small)]
