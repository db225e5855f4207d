"""The picture grid of a run: input, label, ensemble, disagreement, student, error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.frames.grid import grid
from edgekit.tasks import Task, kind_of
from edgekit.tasks.colours import heat
from edgekit.teachers.ensemble import Prediction

_COLUMN_WIDTH = 288


def picture_grid(
    task: Task,
    frames: FrameSet,
    infos: Sequence[FrameInfo],
    ensemble: Sequence[dict[str, Prediction]],
    student: Sequence[dict[str, np.ndarray]],
) -> np.ndarray:
    """One row per frame, (H, W, 3) uint8; ``ensemble`` and ``student`` hold what each said of the same frames."""
    kind = kind_of(task)
    rows = []
    for frame, said, soft in zip(infos, ensemble, student, strict=True):
        maps = frames.read(frame, ["rgb", task.name])
        prediction = kind.decode(task, soft[task.name])
        said_soft = said[task.name].soft[0].cpu().numpy()
        disagreement = said[task.name].disagreement[0].cpu().numpy()
        label = maps.get(task.name)
        row = [
            maps["rgb"],
            _blank(maps["rgb"]) if label is None else kind.picture(task, label),
            kind.picture(task, kind.decode(task, said_soft)),
            heat(_stretch(disagreement), np.ones(disagreement.shape, bool)),
            kind.picture(task, prediction),
            _blank(maps["rgb"]) if label is None else kind.error_picture(task, prediction, label),
        ]
        rows.append(row)
    columns = ["input", "label", "ensemble", "disagreement", "student", "error"]
    scale = min(1.0, _COLUMN_WIDTH / rows[0][0].shape[1])
    return grid(rows, [frame.name for frame in infos], columns, scale=scale)


def spread_out(infos: Sequence[FrameInfo], count: int) -> list[FrameInfo]:
    """``count`` frames evenly over the split."""
    if not count:
        return []
    return [infos[i] for i in np.unique(np.linspace(0, len(infos) - 1, min(count, len(infos))).round().astype(int))]


def _stretch(values: np.ndarray) -> np.ndarray:
    """Full colour from the frame's 99th percentile: regression members differ by little, and where is what matters."""
    return np.clip(values / max(float(np.percentile(values, 99)), 1e-6), 0, 1)


def _blank(like: np.ndarray) -> np.ndarray:
    return np.full_like(like, 255)


def as_prediction(soft: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """(1, C, H, W) tensors as (C, H, W) arrays."""
    return {name: value[0].float().cpu().numpy() for name, value in soft.items()}
