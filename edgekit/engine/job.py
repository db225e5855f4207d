"""What the child process is asked to do, as plain data that goes through a pipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuildJob:
    """Build one artifact.

    source       the bundle
    file         the artifact's file in it
    profile      (min, opt, max) shapes of the input, None where its shape is fixed
    workspace    bytes, None for what fits
    timing_cache a file, None for none
    cache        the calibration cache, None where there is none
    calibrate    frames to calibrate on: a path as ``edgekit.frames`` reads it
    algorithm    ``entropy`` or ``minmax``
    folder       where the child writes: ``plan``, ``calibration.cache``
    """

    source: str
    file: str
    lane: str
    precision: str
    input_name: str
    input_shape: tuple[int, ...]
    folder: str
    profile: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None
    dla_core: int | None = None
    gpu_fallback: bool = False
    workspace: int | None = None
    optimization_level: int | None = None
    timing_cache: str | None = None
    cache: str | None = None
    calibrate: str | None = None
    algorithm: str = "entropy"

    @property
    def calibrates(self) -> bool:
        return self.cache is not None or self.calibrate is not None


@dataclass(frozen=True)
class CheckJob:
    """Run a plan on the bundle's golden frames and time it."""

    source: str
    plan: str


@dataclass(frozen=True)
class ProbeJob:
    """Say what TensorRT and the GPU can do."""
