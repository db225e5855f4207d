"""TensorRT's calibration cache: a line of header, then a scale per tensor.

``TRT-<version>-EntropyCalibration2`` and ``<tensor>: <8 hexadecimal digits>``, the big-endian IEEE float32 of
range / 127. The header names the version of TensorRT that reads it, so the cache is written on the machine that uses
it. TensorRT does not check that a cache belongs to the network; the manifest's hashes do.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

from edgekit.bundle.manifest import MANIFEST, Manifest
from edgekit.errors import EdgekitError

INT8_MOST = 127  # of symmetric int8; −128 is not used, as either side needs as many steps


def version_number(version: str) -> int:
    """How TensorRT writes its version into the header.

    >>> version_number("8.6.1"), version_number("10.3.0"), version_number("10.13.3.9")
    (8601, 100300, 101303)
    """
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return major * 10000 + minor * 100 + patch if major >= 10 else major * 1000 + minor * 100 + patch


def write_cache(ranges: Mapping[str, tuple[float, float]], version: str) -> bytes:
    """``ranges``: tensor → (least, most) value."""
    return f"TRT-{version_number(version)}-EntropyCalibration2\n{scale_table(ranges)}".encode()


def scale_table(ranges: Mapping[str, tuple[float, float]]) -> str:
    """A cache without its header: the part that every TensorRT reads alike.

    EdgekitError for a name that would not be one line of it.
    """
    broken = next((name for name in ranges if name.splitlines() != [name]), None)
    if broken is not None:
        fix = "name the network's tensors, and so its tasks and layers, without control characters"
        raise EdgekitError(
            f"a calibration cache cannot hold the tensor {broken[:60]!r}",
            where="the ranges of the network's tensors",
            fix=fix,
        )
    return "".join(f"{name}: {struct.pack('>f', symmetric_scale(*ends)).hex()}\n" for name, ends in ranges.items())


def symmetric_scale(least: float, most: float) -> np.float32:
    """What one step of int8 is worth: the larger magnitude / 127.

    1 for a tensor that is always zero, as in Q/DQ: every scale holds zero, but TensorRT's builder ends with "Assertion
    getter(i) != 0 failed" where a scale is zero (reported of 8.5). So too where float32 has no normal number for it.
    """
    scale = np.float32(max(abs(least), abs(most))) / np.float32(INT8_MOST)
    return scale if scale >= np.finfo(np.float32).tiny else np.float32(1.0)


def cache_of(manifest: Manifest, model_file: str, version: str) -> bytes:
    """The cache of a bundle's ranges. EdgekitError where they were measured on another graph or pre-processing."""
    ranges = manifest.ranges
    if ranges is None:
        raise EdgekitError(
            "the bundle has no calibrated ranges",
            where=f"{MANIFEST}: ranges",
            fix="export it with quantization, or calibrate on the device: edgekit build BUNDLE --calibrate FRAMES",
        )
    if ranges.model != manifest.files[model_file]:
        raise EdgekitError(
            f"the bundle's ranges belong to another graph: SHA-256 {ranges.model[:12]}…, {model_file} has "
            f"{manifest.files[model_file][:12]}…",
            where=f"{MANIFEST}: ranges",
            fix="export the bundle again",
        )
    return write_cache(ranges.tensors, version)
