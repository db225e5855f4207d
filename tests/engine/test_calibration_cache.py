"""The calibration cache against its format, written out by hand."""

from __future__ import annotations

import dataclasses
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bundle.bundle import open_bundle
from edgekit.engine.calibration_cache import cache_of, write_cache
from edgekit.errors import EdgekitError


def read_cache(content: bytes) -> tuple[str, dict[str, float]]:
    head, *lines = content.decode().splitlines()
    pairs = (line.rpartition(": ") for line in lines)  # a tensor's name may hold colons
    return head, {name: struct.unpack(">f", bytes.fromhex(digits.rjust(8, "0")))[0] for name, _, digits in pairs}


def test_by_hand():
    # 127/127 = 1.0 = 0x3f800000; 63.5/127 = 0.5 = 0x3f000000
    ranges = {"input": (-127.0, 3.0), "/conv/Conv:0": (0.0, 63.5), "dead": (0.0, 0.0)}
    assert write_cache(ranges, "8.6.1").decode() == (
        "TRT-8601-EntropyCalibration2\ninput: 3f800000\n/conv/Conv:0: 3f000000\ndead: 3f800000\n"
    )


@pytest.mark.parametrize(("most", "scale"), [(0.0, 1.0), (-0.0, 1.0), (1e-43, 1.0), (1e-37, 1.0), (127e-37, 1e-37)])
def test_what_is_always_zero_has_a_scale(most, scale):
    """Zero, or what float32 keeps with a few bits or none, is no scale; TensorRT's builder fails on zero."""
    for ends in ((0.0, most), (-most, 0.0)):
        _, scales = read_cache(write_cache({"dead": ends}, "8.6.1"))
        assert scales["dead"] == np.float32(scale)


@pytest.mark.parametrize(
    ("version", "number"), [("8.5.2.2", 8502), ("8.6.2", 8602), ("10.3.0", 100300), ("10.13.3.9", 101303)]
)
def test_headers(version, number):
    assert write_cache({}, version) == f"TRT-{number}-EntropyCalibration2\n".encode()


names = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(st.dictionaries(names, st.floats(1e-6, 1e6), max_size=8))
def test_what_is_written_is_read(ranges):
    head, scales = read_cache(write_cache({n: (-v / 2, v) for n, v in ranges.items()}, "10.3.0"))
    assert head == "TRT-100300-EntropyCalibration2"
    assert scales.keys() == ranges.keys()
    for name, value in ranges.items():
        assert math.isclose(scales[name], np.float32(value / 127), rel_tol=1e-6)


def test_ranges_of_another_graph_are_refused(jetson_bundle):
    manifest = open_bundle(jetson_bundle).manifest
    _, scales = read_cache(cache_of(manifest, "body.onnx", "10.3.0"))
    assert scales["scope::depth"] == pytest.approx(1 / 127) and scales["input"] == pytest.approx(2.2 / 127)
    with pytest.raises(EdgekitError, match="belong to another graph"):
        cache_of(manifest, "weak.onnx", "10.3.0")
    with pytest.raises(EdgekitError, match="no calibrated ranges"):
        cache_of(dataclasses.replace(manifest, ranges=None), "body.onnx", "10.3.0")
