"""The picture grid of a run: input, label, ensemble, disagreement, student, error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
    """One row per frame, (H, W, 3) uint8. For the same frames ``ensemble`` has predictions, ``student`` native maps."""
    kind = kind_of(task)
    rows = []
    for frame, taught, learned in zip(infos, ensemble, student, strict=True):
        maps = frames.read(frame, ["rgb", task.name])
        soft, disagreement = (v[0].cpu().numpy() for v in (taught[task.name].soft, taught[task.name].disagreement))
        label, blank = maps.get(task.name), np.full_like(maps["rgb"], 255)
        # Full colour from the 99th percentile of a frame: members of a regression differ by little everywhere.
        stretched = np.clip(disagreement / max(float(np.percentile(disagreement, 99)), 1e-6), 0, 1)
        rows.append(
            [
                maps["rgb"],
                blank if label is None else kind.picture(task, label),
                kind.picture(task, kind.decode(task, soft)),
                heat(stretched, np.ones(disagreement.shape, bool)),
                kind.picture(task, learned[task.name]),
                blank if label is None else kind.error_picture(task, learned[task.name], label),
            ]
        )
    columns = ["input", "label", "ensemble", "disagreement", "student", "error"]
    scale = min(1.0, _COLUMN_WIDTH / rows[0][0].shape[1])
    return grid(rows, [frame.name for frame in infos], columns, scale=scale)
