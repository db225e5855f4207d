"""The forms in which a graph may output a task: decisions, confidences or maps of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgekit.tasks.task import Task

Content = Literal["index", "level", "plane", "planes"]
"""How an output is laid out.

index   (N, H, W) uint8 that is right or wrong, such as a class; at the input's size, enlarged by nearest neighbour
level   (N, H, W) uint8 of a measure in 256 steps; enlarged in the same way
plane   (N, h, w) float at the network's resolution, interpolated to the frame
planes  (N, C, h, w) float, likewise
"""


def stacked(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Planes (H, W) as (H, W, C), a single one as (H, W)."""
    return np.array(planes[0]) if len(planes) == 1 else np.stack(planes, axis=-1)


@dataclass(frozen=True)
class OutputForm:
    """One form of output. The first form of a kind is its native map.

    name       of the output behind the task's: ``<task>_<name>``
    meaning    for the model card
    content    how it is laid out
    of         (task, activated (C, h, w) float) → the form as a graph gives it, without N
    of_logits  the same comes of the logits themselves, which saves the activation
    derived    made of probabilities or logits where the graph does not give it, as the native map always is
    join       float planes (H, W), interpolated to the frame → the map that the Predictor gives
    """

    name: str
    meaning: str
    content: Content
    of: Callable[[Task, np.ndarray], np.ndarray]
    of_logits: bool = False
    derived: bool = False
    join: Callable[[Sequence[np.ndarray]], np.ndarray] = stacked

    @property
    def decided(self) -> bool:
        """Whether it is uint8 at the input's size: never interpolated."""
        return self.content in ("index", "level")


def _confidence(task: Task, soft: np.ndarray) -> np.ndarray:
    winner = soft.max(axis=0) if len(soft) > 1 else np.maximum(soft[0], 1 - soft[0])
    return np.rint(255 * winner).astype(np.uint8)


CONFIDENCE = OutputForm(
    "confidence", "255 × the probability of the class that won, uint8", "level", _confidence, derived=True
)
PROBABILITIES = OutputForm(
    "probabilities", "probability per class", "planes", lambda task, soft: soft, join=lambda p: np.stack(p, axis=-1)
)
LOGITS = OutputForm(
    "logits", "what the network emits, before anything is made of it", "planes", lambda task, raw: raw, of_logits=True
)
"""Of every kind."""
