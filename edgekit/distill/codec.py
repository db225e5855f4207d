"""How an ensemble's prediction is stored: the kind's own soft map, and beside it how much the members agree."""

from __future__ import annotations

import numpy as np

from edgekit.data.batches import SoftMap
from edgekit.losses import Detail
from edgekit.tasks import Task, kind_of
from edgekit.tasks.store import from_bytes, to_bytes


def encode(task: Task, target: SoftMap, keep: Detail, top: int) -> dict[str, np.ndarray]:
    """Arrays to store. Disagreement is √ in 8 bits, for most of it is near 0."""
    return {
        "disagreement": to_bytes(1 - target.agreement),
        **kind_of(task).store(task, target.soft, keep, top),
    }


def decode(task: Task, arrays: dict[str, np.ndarray]) -> SoftMap:
    """What ``encode`` stored."""
    return SoftMap(kind_of(task).restore(task, arrays), 1 - from_bytes(arrays["disagreement"]))
