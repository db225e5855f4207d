"""One calibration in a process of its own: run by calibration.py, in the Python of whoever calibrates.

Imports numpy and the one library; edgekit only for edgekit's own rows, so that peers need no more than themselves.
Prints one JSON object on stdout: seconds, CPU seconds and peak memory of calibrating and writing the INT8 file.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


class Frames:
    """Standardised frames (1, 3, H, W) float32, read from a file of uint8 (count, H, W, 3) one at a time."""

    def __init__(self, path: str, count: int, size: tuple[int, int], mean: list[float], std: list[float]):
        self.path, self.count, self.size = path, count, size
        self.mean, self.std = np.float32(mean), np.float32(std)

    def __call__(self) -> Iterator[np.ndarray]:
        height, width = self.size
        for index in range(self.count):
            pixels = np.fromfile(self.path, np.uint8, height * width * 3, offset=index * height * width * 3)
            planes = (pixels.reshape(height, width, 3).astype(np.float32) - self.mean) / self.std
            yield np.ascontiguousarray(planes.transpose(2, 0, 1)[None])


Calibrate = Callable[[str, str, Frames], None]
"""(the float file, where to write the INT8 file, frames)."""


def edgekit(method: str) -> Calibrate:
    import onnx

    from edgekit.graphs.read import consumers
    from edgekit.quantize.calibration import calibrations
    from edgekit.quantize.observers import OBSERVERS
    from edgekit.quantize.qdq import write_qdq

    def run(model: str, out: str, frames: Frames) -> None:
        body = onnx.load(model)
        first = {node.name for node in consumers(body.graph)["input"]}  # float in what `edgekit export` writes
        ranges = calibrations(body, frames, {method: OBSERVERS[method]()})[method].ranges
        onnx.save(write_qdq(body, ranges, keep_float=first), out)

    return run


def onnxruntime(method: str) -> Calibrate:
    from onnxruntime import quantization

    def run(model: str, out: str, frames: Frames) -> None:
        quantization.quantize_static(
            model,
            out,
            reader(quantization.CalibrationDataReader, frames),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=getattr(quantization.CalibrationMethod, method),
        )

    return run


def modelopt(method: str) -> Calibrate:
    from modelopt.onnx.quantization import quantize
    from onnxruntime.quantization import CalibrationDataReader

    def run(model: str, out: str, frames: Frames) -> None:
        quantize(
            model,
            calibration_data_reader=reader(CalibrationDataReader, frames),
            calibration_method=method,
            calibration_eps=["cpu"],
            high_precision_dtype="fp32",
            output_path=out,
            log_level="ERROR",
        )

    return run


PEERS = {
    "edgekit": (edgekit, ("onnxruntime", "numpy", "opencv-python-headless")),
    "onnxruntime": (onnxruntime, ("onnxruntime", "numpy")),
    "modelopt": (modelopt, ("nvidia-modelopt", "onnxruntime", "numpy")),
}


def reader(base: type, frames: Frames):
    """The frames as onnxruntime's quantizer asks for them."""

    class Reader(base):
        def __init__(self):
            self.rewind()

        def get_next(self):
            frame = next(self._frames, None)
            return None if frame is None else {"input": frame}

        def rewind(self):
            self._frames = frames()

    return Reader()


def peak_mib() -> float:
    """Of this program alone: what getrusage says counts the parent's memory before exec too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")).group(1)) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    task = json.loads(sys.argv[1])
    frames = Frames(task["frames"], task["count"], tuple(task["size"]), task["mean"], task["std"])
    # Libraries print on stdout what they do.
    answer = os.dup(1)
    os.dup2(2, 1)
    peer, packages = PEERS[task["peer"]]
    calibrate = peer(task["method"])  # importing the library is not counted
    imported, began, spent = peak_mib(), time.perf_counter(), time.process_time()
    calibrate(task["model"], task["out"], frames)
    result = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - spent,
        "imported_mib": imported,
        "peak_mib": peak_mib(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    os.write(answer, json.dumps(result).encode())


if __name__ == "__main__":
    main()
