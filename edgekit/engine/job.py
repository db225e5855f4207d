"""What the user asks of a build, and what the child process is asked to do for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.manifest import Artifact
from edgekit.runtime.tensorrt.sidecar import BUNDLE

BEST = "best"


@dataclass(frozen=True)
class BuildOptions:
    """See `edgekit build --help`. ``workspace`` in MiB; None is the default everywhere."""

    lane: str | None = None
    precision: str = BEST
    dla_core: int | None = None
    gpu_fallback: bool = False
    workspace: int | None = None
    timing_cache: Path | None = None
    optimization_level: int | None = None
    calibrate: Path | None = None
    algorithm: str = "entropy"

    def command(self, lane: str, precision: str) -> str:
        """The command that builds one engine of these options again, see ``Sidecar.command``."""
        parts = ["--lane", lane, "--precision", precision]
        if self.dla_core is not None:
            parts += ["--dla", str(self.dla_core)]
        if self.gpu_fallback:
            parts.append("--gpu-fallback")
        for name in ("workspace", "timing_cache", "optimization_level", "calibrate"):
            if getattr(self, name) is not None:
                parts += [f"--{name.replace('_', '-')}", str(getattr(self, name))]
        if self.calibrate is not None:
            parts += ["--calibrator", self.algorithm]
        return f"edgekit build {BUNDLE} {shlex.join(parts)}"


@dataclass(frozen=True)
class BuildJob:
    """Build one artifact of the bundle ``source``; ``plan`` and ``calibration.cache`` are written into ``folder``.

    cache  the calibration cache made of the bundle's ranges, None where they are not used
    """

    source: Path
    artifact: Artifact
    options: BuildOptions
    folder: Path
    timing_cache: Path
    cache: bytes | None = None

    @property
    def calibrates(self) -> bool:
        return self.cache is not None or self.options.calibrate is not None


@dataclass(frozen=True)
class CheckJob:
    """Run a plan on the golden frames of the bundle ``source`` and time it."""

    source: Path
    plan: Path


@dataclass(frozen=True)
class ProbeJob:
    """Report what TensorRT and the GPU can do."""
