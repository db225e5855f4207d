"""The builder's progress, where TensorRT reports it (from 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def watch(trt: Any, config: Any, report: Callable[[str, int, int], None], stop: Callable[[], bool]) -> bool:
    """Report (phase, steps done, steps) of the outermost phases; the build ends early once ``stop`` returns True.

    False where this TensorRT has no progress monitor.
    """
    if not hasattr(trt, "IProgressMonitor") or not hasattr(config, "progress_monitor"):
        return False

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            if not parent_phase:
                report(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            report(phase_name, step + 1, self.steps.get(phase_name, 0))
            return not stop()

        def phase_finish(self, phase_name: str) -> None:
            steps = self.steps.pop(phase_name, 0)
            report(phase_name, steps, steps)

    config.progress_monitor = Monitor()
    return True
