"""All checks, in the order they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from edgekit import __version__
from edgekit.engine.doctor import hardware, software
from edgekit.engine.doctor.check import Check
from edgekit.engine.doctor.surroundings import Surroundings

CHECKS: tuple[Callable[[Surroundings], Check], ...] = (
    hardware.board,
    hardware.release,
    software.python,
    software.gpu,
    software.cuda,
    software.tensorrt,
    software.pycuda,
    software.trtexec,
    software.onnxruntime,
    software.opencv,
    software.pyav,
    hardware.power_mode,
    hardware.clocks,
    hardware.fan,
    hardware.memory,
    hardware.swap,
    hardware.disk,
)


@dataclass(frozen=True)
class Diagnosis:
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[Check]:
        return [check for check in self.checks if check.state == "problem"]

    @property
    def can_build(self) -> bool:
        """Whether an engine can be built."""
        return not self.problems

    @property
    def can_run_on_cpu(self) -> bool:
        return any(check.name == "onnxruntime" and check.state == "ok" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {
            "edgekit": __version__,
            "can_build": self.can_build,
            "can_run_on_cpu": self.can_run_on_cpu,
            "checks": [asdict(check) for check in self.checks],
        }


def diagnose(found: Surroundings) -> Diagnosis:
    return Diagnosis(tuple(check(found) for check in CHECKS))
