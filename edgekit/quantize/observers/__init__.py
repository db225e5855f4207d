"""Observers by the name they have in a recipe: one file and one line here for a new one.

Another package offers one as an entry point of the group ``edgekit.observers``.
"""

from __future__ import annotations

from edgekit.parts import Parts
from edgekit.quantize.observers.entropy import Entropy
from edgekit.quantize.observers.minmax import MinMax
from edgekit.quantize.observers.mse import MSE
from edgekit.quantize.observers.observer import Observer
from edgekit.quantize.observers.percentile import Percentile

OBSERVERS: Parts[type[Observer]] = Parts(
    "edgekit.observers",
    "observer",
    {
        "minmax": MinMax,
        "percentile": Percentile,
        "entropy": Entropy,
        "mse": MSE,
    },
    base=Observer,
    classes=True,
)

__all__ = ["OBSERVERS", "Observer"]
