"""What the page of a run shows of ``breakdown-<split>.json``, which `edgekit distill` writes beside its result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from edgekit.frames.outside import read_json
from edgekit.frames.typed import Misfit, as_typed
from edgekit.tasks.metric import jackknife_error

TextTable = tuple[list[str], list[list[str]]]
"""Header, and rows of a name and its figures."""

STUDENT, BASELINE = "student", "baseline"
_SHOWN_FRAMES, _BINS = 8, 15
_LEAST_SHARE = 1e-3  # of the pixels, in a bin whose share of right ones says something
_CLEAR = 2.0  # standard errors, from which a difference is called clear


class _Metric(TypedDict):
    title: str
    factor: float
    decimals: int
    higher: bool


class ModelBreakdown(TypedDict):
    """One model's counts. ``scores``, ``disagreement``: a value or None per frame; ``confusion``: pixels by label and
    answer, the last column "no answer"; ``blocks``: per block and class [right, labelled, answered] pixels; ``levels``:
    pixels, and right ones among them, per confidence 0-255."""

    scores: list[float | None]
    disagreement: list[float | None]
    confusion: list[list[int]]
    blocks: list[list[list[int]]]
    levels: list[list[int]]


class TaskBreakdown(TypedDict):
    """One task: its metric, the names of its classes (none for a measure), and its models by row name."""

    metric: _Metric
    classes: list[str]
    models: dict[str, ModelBreakdown]


class StoredBreakdown(TypedDict):
    """The file: names of the frames, the block that each is in, tasks by name."""

    frames: list[str]
    blocks: list[int]
    tasks: dict[str, TaskBreakdown]


def read_breakdown(path: Path) -> StoredBreakdown | None:
    """The file; None if it is missing, as in runs of older versions. Misfit if its content is something else."""
    try:
        found = as_typed(StoredBreakdown, read_json(path, what="the run's breakdown"), path.name)
    except FileNotFoundError:
        return None
    frames, blocks = len(found["frames"]), max(found["blocks"], default=0) + 1
    if len(found["blocks"]) != frames or min(found["blocks"], default=0) < 0:
        raise Misfit(f"{path.name}: blocks is not one number per frame")
    for name, task in found["tasks"].items():
        classes = len(task["classes"])
        shapes = {"confusion": (classes, classes + 1), "blocks": (blocks, classes, 3), "levels": (2, 256)}
        for model, counts in task["models"].items():
            where = f"{path.name}: tasks.{name[:60]}.models.{model[:60]}"
            if not len(counts["scores"]) == len(counts["disagreement"]) == frames:
                raise Misfit(f"{where} has not one score per frame")
            for field, shape in shapes.items():
                if _shape(counts[field]) != shape and classes:
                    raise Misfit(f"{where}.{field} is not {shape}")
    return found


def confusion(task: TaskBreakdown) -> tuple[list[str], list[tuple[str, list[float]]]] | None:
    """(answers, (label, per cent of its pixels that got each answer)) of the distilled student; None without classes.

    Classes without a labelled pixel have no row, "no answer" a column where it is one.
    """
    if not task["classes"] or STUDENT not in task["models"]:
        return None
    counts = np.array(task["models"][STUDENT]["confusion"], float)
    total = counts.sum(axis=1)
    answers = [*task["classes"], "no answer"]
    shown = [i for i in range(len(answers)) if i < len(total) or counts[:, i].any()]
    rows = [
        (name, [100 * counts[i, j] / total[i] for j in shown]) for i, name in enumerate(task["classes"]) if total[i]
    ]
    return [answers[i] for i in shown], rows


def reliability(model: ModelBreakdown) -> tuple[list[tuple[float, float]], float] | None:
    """((mean confidence, share of right pixels) per bin of confidence, expected calibration error), all 0-1.

    15 bins of equal width (Guo et al., ICML 2017); one with less than a thousandth of the pixels counts for the error,
    and is no point: its share is chance. None without confidence.
    """
    pixels, right = np.array(model["levels"], float)
    if not pixels.any():
        return None
    levels = np.arange(256) / 255
    place = np.minimum((levels * _BINS).astype(int), _BINS - 1)
    sums = [np.bincount(place, values, _BINS) for values in (pixels, pixels * levels, right)]
    full = sums[0] > 0
    count, sure, hit = (values[full] for values in sums)
    error = np.abs(sure - hit).sum() / count.sum()
    points = zip((sure / count).tolist(), (hit / count).tolist(), count >= _LEAST_SHARE * count.sum(), strict=True)
    return [(confidence, share) for confidence, share, many in points if many], float(error)


def extreme_frames(found: StoredBreakdown, task: str) -> Iterable[tuple[str, TextTable]]:
    """(what, frames): those that the distilled student does worst, and those that the ensemble disputes most."""
    metric, models = found["tasks"][task]["metric"], found["tasks"][task]["models"]
    form = f"{{:.{metric['decimals']}f}}".format
    if STUDENT in models:
        worst = _ordered(found["frames"], models[STUDENT]["scores"], smallest=metric["higher"])
        rows = [[name, form(metric["factor"] * value)] for name, value in worst[:_SHOWN_FRAMES]]
        if rows:
            yield "Worst frames", (["frame", f"{metric['title']}, distilled student"], rows)
    if "ensemble" in models:
        disputed = _ordered(found["frames"], models["ensemble"]["disagreement"], smallest=False)
        rows = [[name, f"{value:.4f}"] for name, value in disputed[:_SHOWN_FRAMES] if value]
        if rows:
            yield "Most disputed frames", (["frame", "disagreement of the ensemble, 0 to 1"], rows)


def differences(first: tuple[StoredBreakdown, str], second: tuple[StoredBreakdown, str], task: str) -> TextTable | None:
    """The second (breakdown, model) of a task less the first, with a standard error; None where they do not compare:
    frames, classes or labels are others.

    Of a task with classes IoU per class and their mean in points of 100, else the mean of the frames' metrics. Both
    models answered the same frames: the error is the jackknife's over the blocks that these are divided into, of the
    difference itself.
    """
    pair = [(found, found["tasks"].get(task, {}).get("models", {}).get(model)) for found, model in (first, second)]
    if any(counts is None for _, counts in pair) or not _same_frames(*(found for found, _ in pair)):
        return None
    about = pair[0][0]["tasks"][task]
    if about["classes"] != pair[1][0]["tasks"][task]["classes"] or len({_judged(counts) for _, counts in pair}) > 1:
        return None
    if about["classes"]:
        names, values = ["mean", *about["classes"]], [_ious(counts) for _, counts in pair]
        factor, digits = 100.0, 2
    else:
        names, values = ["mean of the frames"], [_means(found, counts) for found, counts in pair]
        factor, digits = about["metric"]["factor"], about["metric"]["decimals"]
    rows = []
    for i, name in enumerate(names):
        (before, *_), (after, *_) = ([factor * v for v in of_model[:, i]] for of_model in values)
        if not (math.isfinite(before) and math.isfinite(after)):
            continue
        parts = factor * (values[1] - values[0])[1:, i]
        error = jackknife_error(parts) if len(parts) > 1 and np.isfinite(parts).all() else None
        said = [f"{before:.{digits}f}", f"{after:.{digits}f}", f"{after - before:+.{digits}f}"]
        if error is None:
            said += ["–", "–"]
        else:
            said += [f"± {error:.{digits}f}", "clear" if abs(after - before) > _CLEAR * error else "noise"]
        rows.append([name, *said])
    what = "IoU %" if about["classes"] else about["metric"]["title"]
    return ["", f"{what} before", "after", "difference", "error", "judged"], rows


def _ious(model: ModelBreakdown) -> np.ndarray:
    """(1 + blocks, 1 + classes): IoU of all blocks, then without each; the mean of the classes that labels hold first.

    NaN where a class is in no label.
    """
    blocks = np.array(model["blocks"], float)
    counts = np.concatenate([blocks.sum(axis=0)[None], blocks.sum(axis=0) - blocks])  # (1 + B, C, 3)
    right, labelled, answered = np.moveaxis(counts, 2, 0)
    union = labelled + answered - right
    iou = np.where(labelled > 0, right / np.maximum(union, 1), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(iou, axis=1) / np.isfinite(iou).sum(axis=1)
    kept = _holding(labelled.sum(axis=1))
    return np.concatenate([mean[:, None], iou], axis=1)[kept]


def _means(found: StoredBreakdown, model: ModelBreakdown) -> np.ndarray:
    """(1 + blocks, 1): the mean of the frames' metrics, then without each block."""
    values = np.array([math.nan if score is None else score for score in model["scores"]])
    known, blocks = np.isfinite(values), np.array(found["blocks"])
    parts = [known, *(known & (blocks != block) for block in np.unique(blocks[known]))]
    return np.array([[values[part].mean() if part.any() else math.nan] for part in parts])


def _holding(pixels: np.ndarray) -> np.ndarray:
    """Drop leave-one-out rows of empty blocks; the jackknife needs non-empty groups."""
    kept = pixels < pixels[0]
    kept[0] = True
    return kept


def _judged(model: ModelBreakdown) -> tuple[object, ...]:
    """What there was to judge: labelled pixels per block and class, and the frames that have a score."""
    labelled = [[pixels for _, pixels, _ in block] for block in model["blocks"]]
    return (str(labelled), *(score is None for score in model["scores"]))


def _same_frames(one: StoredBreakdown, other: StoredBreakdown) -> bool:
    return one["frames"] == other["frames"] and one["blocks"] == other["blocks"]


def _ordered(names: Sequence[str], values: Sequence[float | None], *, smallest: bool) -> Sequence[tuple[str, float]]:
    known = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
    return sorted(known, key=lambda pair: pair[1] if smallest else -pair[1])


def _shape(values: Sequence) -> tuple[int, ...]:
    """The shape of nested lists; (-1,) where they are ragged."""
    try:
        return np.array(values).shape
    except ValueError:
        return (-1,)
