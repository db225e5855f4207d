"""The bundle's golden frames, the fp32 graph's outputs for them, and the tolerance of every file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edgekit.bundle.manifest import FRAMES, OutputTensor, Preprocessing
from edgekit.runtime.preprocess import Feed
from edgekit.tasks import Task, kind_of

GOLDEN = "golden.npz"
GOLDEN_BUDGET = 64 << 20
MARGIN = 3.0
"""A file may be this many times as far from the reference as it was on this machine, and a floor more: another runtime
rounds elsewhere, and fuses other operators."""
FLOOR_DISAGREEMENT = 0.002
FLOOR_ERROR = 2e-3  # of the reference's mean magnitude

Answers = dict[str, np.ndarray]


def synthetic_frames(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(count, H, W, 3) uint8 of soft coloured shapes: for bundles that must not hold photographs."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    frames = np.empty((count, *size, 3), np.uint8)
    for frame in frames:
        picture = np.full((*size, 3), rng.uniform(40, 215, 3), np.float32)
        for _ in range(24):
            middle, radius = rng.uniform(0, 1, 2) * size, rng.uniform(0.03, 0.3) * max(size)
            inside = 1 / (1 + np.exp((np.hypot(rows - middle[0], columns - middle[1]) - radius) / rng.uniform(1, 8)))
            picture += inside[..., None] * (rng.uniform(0, 255, 3) - picture)
        picture += rng.normal(0, 4, picture.shape)
        frame[:] = np.clip(picture, 0, 255)
    return frames


def synthetic_feed(count: int, preprocessing: Preprocessing) -> dict[str, np.ndarray]:
    """``synthetic_frames`` for every input; of other modalities than rgb around their mean, within their range."""
    feed = {}
    for sensor in preprocessing.sensors():
        planes = [synthetic_frames(count, preprocessing.size, seed=place) for place in range(sensor.task.channels)]
        if sensor.input == FRAMES:
            feed[FRAMES] = planes[0]
            continue
        spread = np.stack([(p.mean(axis=3) - 127.5) / 64 for p in planes], axis=3)  # about a deviation
        values = np.clip(spread * sensor.std + sensor.mean, *sensor.task.range)
        feed[sensor.input] = (np.rint(values) if sensor.dtype == "uint8" else values).astype(sensor.dtype)
    return feed


def affordable(count: int, bytes_per_frame: int) -> int:
    """How many frames the golden file has room for: ``count``, or fewer of large answers, at least one."""
    return max(1, min(count, GOLDEN_BUDGET // max(1, bytes_per_frame)))


def packed(frames: Feed, answers: Answers) -> bytes:
    """The golden file: an array per input name, such as ``frames``, and per output name."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **frames, **answers)
    return buffer.getvalue()


def measured(
    tasks: Sequence[Task], outputs: Iterable[OutputTensor], found: Answers, reference: Answers
) -> dict[str, dict[str, float]]:
    """Per output how far ``found`` is: {"agreement": share of equal pixels} or {"error": mean absolute difference}."""
    kinds, out = {task.name: kind_of(task) for task in tasks}, {}
    for output in outputs:
        a, b = found[output.name], reference[output.name]
        if kinds[output.task].form(output.form).content == "index":
            out[output.name] = {"agreement": float((a == b).mean())}
        else:
            out[output.name] = {"error": float(np.abs(a.astype(np.float64) - b.astype(np.float64)).mean())}
    return out


def tolerated(distance: Mapping[str, Mapping[str, float]], reference: Answers) -> dict[str, dict[str, float]]:
    """What a device may be off, from what was measured here: ``MARGIN`` times that and a floor."""
    out = {}
    for name, value in distance.items():
        if "agreement" in value:
            disagreement = MARGIN * (1 - value["agreement"]) + FLOOR_DISAGREEMENT
            out[name] = {"agreement": max(0.0, 1 - disagreement)}
        else:
            floor = FLOOR_ERROR * float(np.abs(reference[name].astype(np.float64)).mean())
            out[name] = {"error": MARGIN * value["error"] + floor}
    return out


def standardised(frames: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Frames (N, H, W, C) → (N, C, H, W) float32 as the cache lane and the body take them."""
    planes = (frames.astype(np.float32) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(planes.transpose(0, 3, 1, 2))


def together(frames: Feed, preprocessing: Preprocessing) -> np.ndarray:
    """Frames as inputs take them → all channels (N, H, W, C) float32, in native units."""
    return np.concatenate([np.asarray(frames[s.input], np.float32) for s in preprocessing.sensors()], axis=3)
