"""Which artifact is built: by what TensorRT can do, what the bundle lists and what was asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.engine.capabilities import Capabilities
from edgekit.engine.job import BuildOptions
from edgekit.engine.lanes import buildable, choose
from edgekit.errors import EdgekitError

FRAMES = Path("frames")


def capable(version: str, **changes) -> Capabilities:
    major = int(version.split(".")[0])
    old = True if major < 11 else None
    fields = {
        "tensorrt": version, "weak": major < 11, "strong": major >= 10, "calibration": major < 11, "dla_cores": 0,
        "gpu": "Orin", "sm": "8.7", "fast_int8": old, "driver": "12.6", "cuda": "12.6",
        "memory_free": 8 << 30,
    }  # fmt: skip
    return Capabilities(**{**fields, **changes})


@pytest.fixture
def manifest(jetson_bundle):
    return open_bundle(jetson_bundle).manifest


@pytest.mark.parametrize(
    ("version", "precision", "file"),
    [
        ("8.5.2", "int8", "weak-int8.onnx"),
        ("8.6.1", "fp16", "weak.onnx"),
        ("10.3.0", "int8", "weak-int8.onnx"),
        ("10.3.0", "fp32", "weak.onnx"),
        ("11.4.0.106", "fp16", "strong-fp16.onnx"),
        ("11.4.0.106", "int8", "strong-int8.onnx"),
        ("11.4.0.106", "fp32", "strong-fp32.onnx"),
    ],
)
def test_the_first_lane_that_will_do(manifest, version, precision, file):
    artifact = choose(manifest, capable(version), BuildOptions(), precision)
    assert (artifact.file, artifact.precision) == (file, precision)


@pytest.mark.parametrize(
    ("lane", "file"), [("weak", "weak-int8.onnx"), ("strong", "strong-int8.onnx"), ("cache", "body.onnx")]
)
def test_a_lane_that_is_asked_for(manifest, lane, file):
    assert choose(manifest, capable("10.3.0"), BuildOptions(lane=lane), "int8").file == file


def test_dla_takes_the_calibration_cache_and_from_11_strong_types(manifest):
    wish = BuildOptions(dla_core=0, gpu_fallback=True)
    assert choose(manifest, capable("10.3.0", dla_cores=2), wish, "int8").lane == "cache"
    assert choose(manifest, capable("11.4.1", dla_cores=2), wish, "int8").lane == "strong"


@pytest.mark.parametrize(
    ("version", "wish", "precision", "said"),
    [
        ("11.4.0.106", BuildOptions(lane="weak"), "int8", "every network is strongly typed"),
        ("8.6.1", BuildOptions(lane="strong"), "int8", "has no strongly typed networks"),
        ("11.4.0.106", BuildOptions(lane="cache"), "int8", "neither precision flags nor calibration"),
        ("11.4.0.106", BuildOptions(calibrate=FRAMES), "int8", "neither precision flags nor calibration"),
        (
            "10.3.0",
            BuildOptions(lane="weak", calibrate=FRAMES),
            "int8",
            "calibration on the device is for the cache lane",
        ),
        ("10.3.0", BuildOptions(calibrate=FRAMES), "fp16", "only int8 is calibrated"),
        ("10.3.0", BuildOptions(dla_core=0), "int8", "there is no DLA core here"),
        ("8.4.1", BuildOptions(), "int8", "is for TensorRT 8.5 to 10"),
    ],
)
def test_what_cannot_be_built_says_why(manifest, version, wish, precision, said):
    with pytest.raises(EdgekitError, match=said) as raised:
        choose(manifest, capable(version), wish, precision)
    assert raised.value.fix


def test_a_dla_core_too_high_and_fp32_on_dla(manifest):
    can = capable("10.3.0", dla_cores=2)
    with pytest.raises(EdgekitError, match="there is no DLA core 2: TensorRT sees 2"):
        choose(manifest, can, BuildOptions(dla_core=2), "int8")
    with pytest.raises(EdgekitError, match="not in fp32"):
        choose(manifest, can, BuildOptions(dla_core=1), "fp32")


def test_a_gpu_without_int8_units(manifest):
    with pytest.raises(EdgekitError, match="has no INT8 units"):
        choose(manifest, capable("10.3.0", fast_int8=False), BuildOptions(), "int8")


def test_int8_in_the_cache_lane_needs_ranges_or_frames(manifest):
    bare = dataclasses.replace(
        manifest, ranges=None, artifacts=tuple(a for a in manifest.artifacts if a.precision != "int8")
    )
    with pytest.raises(EdgekitError, match="the bundle has no cache/int8 artifact"):
        choose(bare, capable("10.3.0"), BuildOptions(lane="cache"), "int8")
    made = choose(bare, capable("10.3.0"), BuildOptions(calibrate=FRAMES), "int8")
    assert (made.file, made.lane, made.precision) == ("body.onnx", "cache", "int8")
    listed = dataclasses.replace(manifest, ranges=None)
    with pytest.raises(EdgekitError, match="no calibrated ranges, and --calibrate was not given"):
        choose(listed, capable("10.3.0"), BuildOptions(lane="cache"), "int8")


def test_buildable_is_one_artifact_per_precision(manifest):
    assert [a.precision for a in buildable(manifest, capable("10.3.0"), BuildOptions())] == ["fp32", "fp16", "int8"]
    assert [a.precision for a in buildable(manifest, capable("10.3.0", fast_int8=False), BuildOptions())] == [
        "fp32",
        "fp16",
    ]


def test_an_error_lists_what_the_bundle_holds(manifest):
    cpu = dataclasses.replace(manifest, artifacts=manifest.artifacts[:1])
    with pytest.raises(EdgekitError, match="the bundle has no weak/int8 artifact") as raised:
        choose(cpu, capable("10.3.0"), BuildOptions(), "int8")
    assert "(none)" in raised.value.fix
