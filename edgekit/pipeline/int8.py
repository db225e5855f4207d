"""One calibration of a subject, and the INT8 bodies of every lane from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edgekit.bundle.manifest import Preprocessing, Ranges, Tensor
from edgekit.export.body import INPUT
from edgekit.export.lanes import Row
from edgekit.pipeline.subject import Shot
from edgekit.quantize.calibration import Calibration, calibrate
from edgekit.quantize.frames import spread
from edgekit.quantize.qdq import write_qdq
from edgekit.runtime.placement import Placement
from edgekit.runtime.preprocess import Preprocessor
from edgekit.training.progress import Progress

# Lane of a file with Q/DQ → how it is written
_STYLES = {
    "onnxruntime": {"style": "onnxruntime"},
    "weak": {"style": "tensorrt"},
    "strong": {"style": "tensorrt", "dtype": "float16"},
}


@dataclass(frozen=True)
class Feed:
    """Frames as the body takes them, standardised, made anew for every pass."""

    shots: Sequence[Shot]
    preprocessing: Preprocessing

    def __call__(self) -> Iterator[np.ndarray]:
        """(1, 3, H, W) float32 each, an array of its own."""
        prepare = Preprocessor(self.preprocessing, Tensor(INPUT, "float32", (1, 3, *self.preprocessing.size)))
        for shot in self.shots:
            frame = shot.read()
            height, width = frame.shape[:2]
            yield prepare(
                frame[None], Placement.of(self.preprocessing, (height, width), self.preprocessing.size)
            ).copy()


def calibrated(
    body: onnx.ModelProto,
    shots: Sequence[Shot],
    count: int,
    preprocessing: Preprocessing,
    observer: str,
    log,
    threads: int,
) -> Calibration:
    """Ranges over ``count`` of the frames, spread over their scenes."""
    chosen = spread(shots, count)
    with Progress("calibrating", log) as progress:
        progress.begin(len(chosen))
        return calibrate(body, Feed(chosen, preprocessing), observer=observer, progress=progress.step, threads=threads)


def int8_bodies(
    rows: Sequence[Row], body: onnx.ModelProto, calibration: Calibration, keep_float: frozenset[str] = frozenset()
) -> dict[str, onnx.ModelProto]:
    """File → body with Q/DQ in its lane's style, for the rows that have one; the cache lane has its ranges apart."""
    return {
        row.file: write_qdq(body, calibration.ranges, keep_float=keep_float, **_STYLES[row.lane])
        for row in rows
        if row.precision == "int8" and row.lane != "cache"
    }


def manifest_ranges(calibration: Calibration, plain_file: bytes, preprocessing: Preprocessing) -> Ranges:
    """As the manifest has them, tied to the cache lane's file and the pre-processing by their SHA-256."""
    contract = json.dumps(dataclasses.asdict(preprocessing), sort_keys=True)
    return calibration.manifest(
        model=hashlib.sha256(plain_file).hexdigest(),
        preprocessing=hashlib.sha256(contract.encode()).hexdigest(),
    )
