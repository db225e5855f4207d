"""Which files a target needs: one row per way to run the student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edgekit.boards.lookup import check_pair, find_board, find_jetpack
from edgekit.boards.table import within
from edgekit.bundle.manifest import PRECISIONS, Lane, Precision
from edgekit.errors import EdgekitError
from edgekit.export.compare import HALF, OPEN, ParityLimits

ExportTarget = Literal["cpu", "jetson", "rtx", "onnx"]

WEAK, STRONG = 17, 19
"""Opsets: TensorRT 8.5 reads up to 17; QuantizeLinear takes float16 from 19 on."""

_TO_10: tuple[str, str | None] = ("8.5", "10")
_FROM_10: tuple[str, str | None] = ("10", None)
_DLA = '${DLA:+--useDLACore="$DLA" --allowGPUFallback}'


@dataclass(frozen=True)
class ArtifactRow:
    """A way to run the student, before its file is made. Rows that name the same file share it.

    tensorrt  (oldest, newest) version that builds it, None at the end for no limit known; None: not for TensorRT
    trtexec   its options in build.sh, with that script's variables
    """

    file: str
    lane: Lane
    precision: Precision
    opset: int
    tensorrt: tuple[str, str | None] | None = None
    trtexec: str = ""

    @property
    def key(self) -> str:
        return f"{self.lane}/{self.precision}"

    @property
    def style(self) -> Literal["onnxruntime", "tensorrt"] | None:
        """Whose Q/DQ its graph holds; None: it is a float graph, with a calibration cache or without."""
        if self.precision != "int8" or self.lane == "cache":
            return None
        return "onnxruntime" if self.lane == "onnxruntime" else "tensorrt"

    @property
    def half(self) -> bool:
        """Whether its floats are float16."""
        return self.lane == "strong"

    @property
    def gate(self) -> tuple[str, ParityLimits] | None:
        """The step that compares its logits with the fp32 graph's, and its limits; None: its graph is that one."""
        if self.style:
            return f"int8 {self.lane}", OPEN
        return ("fp16", HALF) if self.half else None

    @property
    def build_line(self) -> str:
        """Its call of the function ``build`` of build.sh, without what is left open."""
        oldest, newest = self.tensorrt
        bounds = _number(oldest, missing=0), _number(newest, missing=99) if newest else "99999"
        return " ".join(filter(None, ("build", self.key, *bounds, self.file, self.trtexec)))

    def of_other_weights(self) -> ArtifactRow:
        """The cache lane's INT8 with a file of its own: recovery changed weights that fp32 and fp16 must not have."""
        return replace(self, file="logits-int8.onnx")


ARTIFACT_ROWS: tuple[ArtifactRow, ...] = (
    ArtifactRow("fp32.onnx", "onnxruntime", "fp32", WEAK),
    ArtifactRow("int8-onnxruntime.onnx", "onnxruntime", "int8", WEAK),
    ArtifactRow("fp32.onnx", "weak", "fp32", WEAK, _TO_10),
    ArtifactRow("fp32.onnx", "weak", "fp16", WEAK, _TO_10, "--fp16"),
    ArtifactRow("int8-weak.onnx", "weak", "int8", WEAK, _TO_10, "--int8 --fp16"),
    ArtifactRow("fp16-strong.onnx", "strong", "fp16", STRONG, _FROM_10, "$STRONG"),
    ArtifactRow("int8-strong.onnx", "strong", "int8", STRONG, _FROM_10, "$STRONG"),
    ArtifactRow("logits.onnx", "cache", "fp32", WEAK, _TO_10),
    ArtifactRow("logits.onnx", "cache", "fp16", WEAK, _TO_10, f"--fp16 {_DLA}"),
    ArtifactRow("logits.onnx", "cache", "int8", WEAK, _TO_10, f'--int8 --fp16 --calib="$CACHE" {_DLA}'),
)


def _number(version: str, *, missing: int) -> str:
    """8.5 → 805; a bound without a minor version covers all of them: 10 as newest → 1099."""
    major, _, minor = version.partition(".")
    return str(int(major) * 100 + (int(minor) if minor else missing))


def row_of(rows: Sequence[ArtifactRow], key: str) -> ArtifactRow | None:
    return next((row for row in rows if row.key == key), None)


def rows_for(
    target: ExportTarget, precision: Precision | None = None, board: str | None = None, jetpack: str | None = None
) -> tuple[ArtifactRow, ...]:
    """The rows of a target down to ``precision`` (default: all there are); fp32 is always among them.

    ``cpu``: onnxruntime's. ``jetson``: all, onnxruntime's too, so that the bundle can be checked anywhere; narrowed to
    the TensorRT versions that the board or the JetPack can have. ``rtx``: the strongly typed ones, and onnxruntime's.
    ``onnx``: plain fp32.

    EdgekitError for unknown boards and JetPacks, and for what does not go together.
    """
    if (board or jetpack) and target != "jetson":
        raise EdgekitError(
            f"the target {target} has no board", where="--board" if board else "--jetpack", fix="use --target jetson"
        )
    versions = _tensorrt_versions(board, jetpack)
    of_target = [
        row
        for row in ARTIFACT_ROWS
        if (row.lane == "onnxruntime" or (target == "jetson" and _builds(row, versions)) or _is_rtx(row, target))
        and (target != "onnx" or row.precision == "fp32")
    ]
    own = [row for row in of_target if target != "rtx" or row.tensorrt]  # its fp32 is for the CPU alone
    known = [p for p in PRECISIONS if any(row.precision == p for row in own)]
    if precision and precision not in known:
        other = "--target cpu or jetson" if target == "onnx" else "--target jetson"
        raise EdgekitError(
            f"the target {target} has no {precision}",
            where="--precision",
            fix=f"use {' or '.join(known)}, or {other}",
        )
    wanted = PRECISIONS[: PRECISIONS.index(precision or "int8") + 1]
    return tuple(row for row in of_target if row.precision in wanted)


def _is_rtx(row: ArtifactRow, target: ExportTarget) -> bool:
    """TensorRT for RTX knows strongly typed networks alone."""
    return target == "rtx" and row.lane == "strong"


def _tensorrt_versions(board: str | None, jetpack: str | None) -> list[str] | None:
    """TensorRT versions that the device may have, None for any."""
    if board is None and jetpack is None:
        return None
    device = find_board(board) if board else None
    if jetpack is None:
        return [find_jetpack(version).tensorrt for version in device.jetpacks]
    release = find_jetpack(jetpack)
    if device:
        check_pair(device, release)
    return [release.tensorrt]


def _builds(row: ArtifactRow, versions: Sequence[str] | None) -> bool:
    return versions is None or any(within(version, *row.tensorrt) for version in versions)
