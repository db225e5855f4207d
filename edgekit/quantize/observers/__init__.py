"""Observers by the name they have in a recipe: one file and one line here for a new one."""

from __future__ import annotations

from edgekit.quantize.observers.entropy import Entropy
from edgekit.quantize.observers.minmax import MinMax
from edgekit.quantize.observers.mse import MSE
from edgekit.quantize.observers.observer import Observer
from edgekit.quantize.observers.percentile import Percentile

OBSERVERS: dict[str, type[Observer]] = {
    "minmax": MinMax,
    "percentile": Percentile,
    "entropy": Entropy,
    "mse": MSE,
}

__all__ = ["OBSERVERS", "Observer"]
