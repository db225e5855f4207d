"""TensorRT's int8 calibrators: one that returns a stored cache, one that calibrates on frames on the device.

An exception inside a calibrator would pass through C++; it is kept and raised after the build.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write
from edgekit.runtime.cuda.device import Device

CALIBRATORS = {"entropy": "IInt8EntropyCalibrator2", "minmax": "IInt8MinMaxCalibrator"}


def cached_calibrator(trt: Any, cache: bytes) -> Any:
    """Returns ``cache`` and has no frames. ``asked``: TensorRT wanted frames, so it did not take the cache."""

    class Cached(trt.IInt8EntropyCalibrator2):
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)
            self.asked = False

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            self.asked = True

        def read_calibration_cache(self) -> bytes:
            return cache

        def write_calibration_cache(self, written: Any) -> None:
            pass

    return Cached()


def check_cached(calibrator: Any, version: str, where: str) -> None:
    """EdgekitError where TensorRT did not take the cache."""
    if calibrator.asked:
        raise EdgekitError(
            f"TensorRT {version} did not take the calibration cache and asked for frames",
            where=where,
            fix="calibrate on the device (--calibrate FRAMES), or build in another lane",
        )


def frames_calibrator(
    trt: Any, device: Device, feeds: Iterable[np.ndarray], shape: tuple[int, ...], algorithm: str, written: Path
) -> Any:
    """Shows ``feeds``, each (1, C, H, W) float32 of ``shape``, and writes the resulting cache to ``written``.

    ``count``: feeds used; ``error``: an exception that was raised inside, or None.
    """
    base = getattr(trt, CALIBRATORS[algorithm])
    stream = device.stream()
    memory = device.allocate(int(np.prod(shape)) * 4)

    class Frames(base):
        def __init__(self) -> None:
            base.__init__(self)
            self.feeds = iter(feeds)
            self.count = 0
            self.error: BaseException | None = None

        def get_batch_size(self) -> int:
            return shape[0]

        def get_batch(self, names: list[str]) -> list[int] | None:
            try:
                feed = next(self.feeds, None)
                if feed is None:
                    return None
                if feed.shape != shape or feed.dtype != np.float32:
                    raise ValueError(f"a calibration feed is {feed.shape} {feed.dtype}, expected {shape} float32")
                device.upload(memory, feed, stream)
                stream.synchronize()
                self.count += shape[0]
                return [memory.address]
            except BaseException as error:
                self.error = error
                return None

        def read_calibration_cache(self) -> None:
            return None  # never an old one: it may belong to another network

        def write_calibration_cache(self, cache: Any) -> None:
            try:
                with atomic_write(written) as part:
                    part.write_bytes(bytes(cache))
            except BaseException as error:
                self.error = error

    return Frames()


def check_frames(calibrator: Any, written: Path) -> dict[str, Any]:
    """What was calibrated, for the sidecar. Raises an error from inside; EdgekitError where no frame was used."""
    if calibrator.error is not None:
        raise calibrator.error
    if calibrator.count == 0 or not written.is_file():
        raise EdgekitError(
            f"TensorRT calibrated on {calibrator.count} frames and wrote no cache",
            where=str(written),
            fix="give a folder with frames to --calibrate",
        )
    head, *scales = written.read_text(encoding="utf-8").splitlines()
    return {"source": "device", "frames": calibrator.count, "header": head, "tensors": len(scales)}
