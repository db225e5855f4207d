"""How long each layer takes, as TensorRT's profiler reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def layer_times(trt: Any, context: Any, once: Callable[[], None], count: int) -> list[tuple[str, float]]:
    """(layer, mean ms) over ``count`` calls of ``once``, which runs the context and waits for it.

    The profiler stays attached and the context slow: give one that is used for nothing else.
    """

    class Times(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.totals: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.totals[layer_name] = self.totals.get(layer_name, 0.0) + ms

    profiler = Times()
    context.profiler = profiler
    once()  # the first carries what happens once
    profiler.totals.clear()
    for _ in range(count):
        once()
    return [(name, total / count) for name, total in profiler.totals.items()]
