"""Which artifact of a bundle is built, and in which lane: by what TensorRT can do and what the manifest lists."""

from __future__ import annotations

import dataclasses

from edgekit.boards.table import within
from edgekit.bundle.manifest import PRECISIONS, Artifact, Manifest
from edgekit.engine.capabilities import Capabilities
from edgekit.engine.job import BuildOptions
from edgekit.errors import EdgekitError

ON_GPU = ("weak", "strong", "cache")
"""In order of preference. Weakly typed first: there TensorRT may leave a layer in fp16 where int8 is slower."""
ON_DLA = ("cache", "strong")
"""DLA takes int8 by a calibration cache; from TensorRT 11 it takes strongly typed networks."""


def choose(manifest: Manifest, can: Capabilities, options: BuildOptions, precision: str) -> Artifact:
    """The artifact to build at ``precision``, in the first lane that allows it.

    EdgekitError, with the reason of every lane, where none does.
    """
    _check_hardware(can, options, precision)
    lanes = ON_GPU if options.dla_core is None else ON_DLA
    if options.lane or options.calibrate:
        lanes = (options.lane or "cache",)
    reasons = []
    for lane in lanes:
        reason = _unable(lane, can, options, precision)
        if reason is None:
            found = _artifact(manifest, can, options, lane, precision)
            if isinstance(found, Artifact):
                return found
            reason = found
        reasons.append(f"{lane}: {reason}")
    listed = ", ".join(f"{a.lane}/{a.precision}" for a in manifest.artifacts if a.lane != "onnxruntime") or "none"
    raise EdgekitError(
        f"TensorRT {can.tensorrt} cannot build this bundle in {precision}: {'; '.join(reasons)}",
        where="--precision, --lane",
        fix=f"choose among what the bundle holds ({listed}) with --lane and --precision, or export it again with "
        "`--target jetson` for this machine's JetPack",
    )


def buildable(manifest: Manifest, can: Capabilities, options: BuildOptions) -> list[Artifact]:
    """One artifact per precision that can be built, from fp32 to int8."""
    found = []
    for precision in PRECISIONS:
        try:
            found.append(choose(manifest, can, options, precision))
        except EdgekitError:
            continue
    return found


def _check_hardware(can: Capabilities, options: BuildOptions, precision: str) -> None:
    if options.dla_core is not None:
        if can.dla_cores == 0:
            raise EdgekitError(
                f"there is no DLA core here: TensorRT {can.tensorrt} on {can.gpu} sees none",
                where="--dla",
                fix="build without --dla; Orin Nano and Thor have no DLA, and JetPack 7.0 to 7.2 (TensorRT 10.8 to "
                "11.3) do not support it",
            )
        if options.dla_core >= can.dla_cores:
            raise EdgekitError(
                f"there is no DLA core {options.dla_core}: TensorRT sees {can.dla_cores}",
                where="--dla",
                fix=f"choose one of 0 to {can.dla_cores - 1}",
            )
        if precision == "fp32":
            raise EdgekitError(
                "DLA computes in fp16 and int8, not in fp32", where="--precision", fix="use --precision int8 or fp16"
            )
    if precision == "int8" and can.fast_int8 is False:
        raise EdgekitError(
            f"{can.gpu} has no INT8 units (compute capability {can.sm})",
            where="--precision",
            fix="use --precision fp16, which is faster there",
        )


def _unable(lane: str, can: Capabilities, options: BuildOptions, precision: str) -> str | None:
    """Why this TensorRT cannot build that lane; None where it can."""
    if lane == "weak" and not can.weak:
        return "this TensorRT has no precision flags, every network is strongly typed"
    if lane == "weak" and options.dla_core is not None:
        return "a DLA takes no Q/DQ in weakly typed networks"
    if lane == "strong" and not can.strong:
        return "this TensorRT has no strongly typed networks"
    if lane == "cache" and not can.weak:
        return "this TensorRT has neither precision flags nor calibration"
    if lane != "cache" and options.calibrate:
        return "calibration on the device is for the cache lane"
    if options.calibrate and precision != "int8":
        return "only int8 is calibrated"
    return None


def _artifact(
    manifest: Manifest, can: Capabilities, options: BuildOptions, lane: str, precision: str
) -> Artifact | str:
    """The artifact of a lane and precision, or the reason why none fits."""
    of_lane = [a for a in manifest.artifacts if a.lane == lane]
    found = [a for a in of_lane if a.precision == precision]
    if not found and lane == "cache" and of_lane and (precision != "int8" or options.calibrate or manifest.ranges):
        # The plain graph serves every precision: there flags and ranges decide.
        found = [dataclasses.replace(of_lane[0], precision=precision)]
    if not found:
        return f"the bundle has no {lane}/{precision} artifact"
    if lane == "cache" and precision == "int8" and not (manifest.ranges or options.calibrate):
        return "the bundle has no calibrated ranges, and --calibrate was not given"
    for artifact in found:
        if artifact.tensorrt is None or within(can.tensorrt, *artifact.tensorrt):
            return artifact
    oldest, newest = found[0].tensorrt
    return f"the {lane}/{precision} artifact is for TensorRT {oldest} to {newest or 'the newest'}"
