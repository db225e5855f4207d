"""Building in every lane and version, and everything that can go wrong in a build, in this process."""

from __future__ import annotations

import dataclasses
import json
import struct
import time

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.engine import worker
from edgekit.engine.timing_cache import key_path
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.runtime.load import open_backend
from edgekit.runtime.tensorrt.locate import engine_folder, find_engine
from edgekit.runtime.tensorrt.sidecar import read_sidecar

VERSIONS = ("8.6.1", "10.3.0", "10.13.3.9", "11.4.0.106")
LANES = {"8": ("weak", "cache"), "1": ("weak", "strong", "cache")}


def lanes_of(version: str) -> tuple[str, ...]:
    return ("strong",) if version.startswith("11") else LANES[version[0]]


CASES = [(v, lane, p) for v in VERSIONS for lane in lanes_of(v) for p in ("fp32", "fp16", "int8")]


@pytest.mark.parametrize(("version", "lane", "precision"), CASES)
def test_every_lane_passes_its_golden_frames(jetson_bundle, tensorrt, built_here, version, lane, precision):
    tensorrt(version)
    (built,) = built_here(jetson_bundle, lane=lane, precision=precision)
    side = read_sidecar(built.path)
    assert (side.lane, side.precision, side.installed.tensorrt) == (lane, precision, version)
    assert built.passes and side.golden and side.timing["compute_ms"] > 0
    assert built.path.name.startswith(f"mean-{precision}-{lane}-{side.model_sha256[:8]}-trt{version}-sm87")
    assert side.layers
    assert side.rebuild(jetson_bundle) == f"edgekit build {jetson_bundle} --lane {lane} --precision {precision}"


def test_the_plan_is_what_the_builder_gave_and_nothing_else(jetson_bundle, built_here):
    (built,) = built_here(jetson_bundle, precision="fp16")
    assert built.path.read_bytes().startswith(b"FAKE-TENSORRT-PLAN")
    assert sorted(f.name for f in engine_folder(open_bundle(jetson_bundle)).glob("[!.]*")) == [
        built.path.name,
        built.path.name + ".json",
    ]


def test_best_keeps_the_faster_that_passes(jetson_bundle, built_here):
    kept, other = built_here(jetson_bundle)
    times = {b.sidecar.precision: b.sidecar.timing["compute_ms"] for b in (kept, other)}
    assert times.keys() == {"fp16", "int8"}
    assert kept.path.is_file() and other.path is None
    assert times[kept.sidecar.precision] == min(times.values())
    assert "slower" in other.reason and any(n.startswith("chosen among fp16") for n in kept.sidecar.notes)


def test_best_does_not_keep_what_fails(jetson, jetson_bundle, built_here):
    tighten(jetson, jetson_bundle, "weak/int8")
    kept, other = built_here(jetson_bundle)
    assert (kept.sidecar.precision, kept.passes) == ("fp16", True)
    assert other.sidecar.precision == "int8" and "it fails the golden frames: semantic_classes" in other.reason


def test_best_keeps_nothing_where_nothing_passes(jetson, jetson_bundle, built_here):
    tighten(jetson, jetson_bundle, "weak/int8")
    tighten(jetson, jetson_bundle, "weak/fp16")
    engines = built_here(jetson_bundle)
    assert [b.path for b in engines] == [None, None]
    assert list(engine_folder(open_bundle(jetson_bundle)).glob("[!.]*")) == []


def test_a_stated_precision_is_kept_and_says_that_it_fails(jetson, jetson_bundle, built_here):
    tighten(jetson, jetson_bundle, "weak/int8")
    (built,) = built_here(jetson_bundle, precision="int8")
    assert built.path.is_file() and not built.passes
    assert not all(c["holds"] for c in read_sidecar(built.path).golden)


def tighten(jetson, folder, key):
    """Ask of an artifact what no artifact can do."""

    def change(manifest):
        manifest.golden.tolerance[key]["semantic_classes"]["agreement"] = 1.01
        return manifest

    jetson.change_manifest(folder, change)


def test_one_precision_alone_says_that_nothing_was_compared(jetson_bundle, tensorrt, built_here):
    tensorrt(FAST_INT8="0")
    (built,) = built_here(jetson_bundle)
    assert built.sidecar.precision == "fp16" and "nothing to compare" in built.sidecar.notes[0]


def test_where_int8_is_computed_in_fp32_the_result_says_so(jetson_bundle, built_here):
    """The fake's cache lane computes in fp32, as a real one may where it finds no int8 kernel."""
    (built,) = built_here(jetson_bundle, lane="cache", precision="int8")
    notes = " ".join(built.sidecar.notes)
    assert "int8 was asked for and no layer computes in int8: GPU fp32" in notes
    assert "tensors have no range and stay out of int8" in notes
    assert built.sidecar.calibration["observer"] == "percentile"
    assert "computed by onnxruntime" in built.sidecar.installed.gpu


def test_dla_with_fallback_tells_dla_from_gpu(jetson_bundle, built_here):
    (built,) = built_here(jetson_bundle, precision="fp16", dla_core=1, gpu_fallback=True)
    side = built.sidecar
    assert (side.lane, side.dla_core, side.gpu_fallback) == ("cache", 1, True)
    assert {layer["device"] for layer in side.layers} == {"DLA"}
    assert "-dla1" in built.path.name and "--dla 1 --gpu-fallback" in side.command


def test_gpu_fallback_without_dla(jetson_bundle, built_here):
    with pytest.raises(EdgekitError, match="--gpu-fallback is for engines on the DLA"):
        built_here(jetson_bundle, gpu_fallback=True)


def test_dynamic_shapes(tiny, jetson, tiny_bundle, built_here, tmp_path):
    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)
    for lane in ("weak", "cache"):
        (built,) = built_here(folder, lane=lane, precision="int8")
        assert built.passes


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        write_png(folder / f"{i}.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    return folder


@pytest.mark.parametrize("algorithm", ["entropy", "minmax"])
def test_calibrating_on_the_device(jetson_bundle, built_here, frames, algorithm):
    (built,) = built_here(jetson_bundle, calibrate=frames, algorithm=algorithm)
    assert (built.sidecar.lane, built.sidecar.precision) == ("cache", "int8")
    assert built.sidecar.calibration["frames"] == 3
    head, first, *_ = built.path.with_suffix(".calibration").read_text().splitlines()
    assert head == {"entropy": "TRT-100300-EntropyCalibration2", "minmax": "TRT-100300-MinMaxCalibration"}[algorithm]
    # what was shown is what the network gets: standardised rgb, at most (255 - 120) / 60
    name, _, digits = first.rpartition(": ")
    (scale,) = struct.unpack(">f", bytes.fromhex(digits))
    assert name == "input" and scale * 127 == pytest.approx((255 - 120) / 60, abs=1e-3)
    assert f"--calibrate {frames} --calibrator {algorithm}" in built.sidecar.command


def test_an_open_batch_is_calibrated_frame_by_frame(tiny, jetson, tiny_bundle, tmp_path, built_here, frames):
    """Though the profile's usual batch is four: TensorRT reads as much of a feed as the calibration profile says."""
    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)

    def four(manifest):
        def usual(artifact):
            profile = artifact.profile and dataclasses.replace(artifact.profile, opt=artifact.profile.max)
            return dataclasses.replace(artifact, profile=profile)

        return dataclasses.replace(manifest, artifacts=tuple(usual(a) for a in manifest.artifacts))

    jetson.change_manifest(folder, four)
    (built,) = built_here(folder, calibrate=frames)
    assert built.sidecar.calibration["frames"] == 3 and built.passes


def test_nothing_to_calibrate_on(jetson_bundle, built_here, tmp_path):
    with pytest.raises(EdgekitError, match="there are no frames to calibrate on"):
        built_here(jetson_bundle, calibrate=tmp_path / "none")


def test_a_frame_that_cannot_be_read_ends_the_calibration(jetson_bundle, built_here, frames):
    (frames / "1.png").write_bytes(b"no picture")
    with pytest.raises(EdgekitError, match=r"1\.png"):
        built_here(jetson_bundle, calibrate=frames)
    assert list(engine_folder(open_bundle(jetson_bundle)).glob("[!.]*")) == []


def test_calibration_is_gone_in_11(jetson_bundle, tensorrt, built_here, frames):
    tensorrt("11.4.0.106")
    with pytest.raises(EdgekitError, match="neither precision flags nor calibration"):
        built_here(jetson_bundle, calibrate=frames)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("build", "built nothing: could not find any implementation for node"),
        ("start", "cannot start: CUDA initialization failure with error: 35"),
        ("context", "cannot make an execution context: CUDA runtime error in cudaMalloc: out of memory"),
        ("deserialise", "does not take the engine: out of memory"),
        ("enqueue", "did not run the engine"),
    ],
)
def test_what_fails_leaves_nothing(jetson_bundle, tensorrt, built_here, failure, said):
    tensorrt(FAIL=failure)
    with pytest.raises(EdgekitError, match=said) as raised:
        built_here(jetson_bundle, precision="fp16")
    assert raised.value.fix
    folder = engine_folder(open_bundle(jetson_bundle))
    assert not folder.exists() or list(folder.glob("[!.]*")) == []
    import pycuda.driver as cuda

    assert set(cuda.live().values()) == {0}


def test_a_workspace_that_does_not_fit(jetson_bundle, built_here, monkeypatch):
    monkeypatch.setenv("FAKE_GPU_MEMORY", str(1 << 30))
    monkeypatch.setenv("FAKE_GPU_INTEGRATED", "0")
    with pytest.raises(EdgekitError, match="a workspace of 2000 MiB does not fit"):
        built_here(jetson_bundle, precision="fp16", workspace=2000)
    (built,) = built_here(jetson_bundle, precision="fp16", workspace=100)
    assert built.sidecar.flags["workspace"] == 100 << 20


def test_optimization_levels(jetson_bundle, built_here):
    (built,) = built_here(jetson_bundle, precision="fp16", optimization_level=1)
    assert built.sidecar.flags["optimization_level"] == 1


def test_a_timing_cache_is_used_again_and_belongs_to_its_version(jetson_bundle, tensorrt, built_here, tmp_path):
    path = tmp_path / "mine.timing"
    first = built_here(jetson_bundle, precision="fp16", timing_cache=path)
    again = built_here(jetson_bundle, precision="fp16", timing_cache=path)
    assert [b[0].sidecar.flags["timing_cache_reused"] for b in (first, again)] == [False, True]
    tensorrt("10.13.3.9")
    with pytest.raises(EdgekitError, match=r"of tensorrt 10\.3\.0.*here it is tensorrt 10\.13\.3\.9") as raised:
        built_here(jetson_bundle, precision="fp16", timing_cache=path)
    assert f"rm {path}" in raised.value.fix


def test_a_damaged_timing_cache(jetson_bundle, built_here, tmp_path):
    path = tmp_path / "mine.timing"
    built_here(jetson_bundle, precision="fp16", timing_cache=path)
    path.write_bytes(b"garbage")
    with pytest.raises(EdgekitError, match="does not take the timing cache"):
        built_here(jetson_bundle, precision="fp16", timing_cache=path)
    key_path(path).unlink()
    with pytest.raises(EdgekitError, match="the timing cache cannot be read"):
        built_here(jetson_bundle, precision="fp16", timing_cache=path)


def test_the_sidecar_is_json_and_the_newest_is_found(jetson_bundle, built_here):
    built_here(jetson_bundle, precision="fp16")
    time.sleep(0.01)
    (second,) = built_here(jetson_bundle, precision="int8")
    bundle = open_bundle(jetson_bundle)
    assert find_engine(bundle, None, None)[0] == second.path
    assert find_engine(bundle, "weak", "fp16")[1].precision == "fp16"
    with pytest.raises(EdgekitError, match="no fp32 engine has been built") as raised:
        find_engine(bundle, None, "fp32")
    assert raised.value.fix.endswith(f"edgekit build {jetson_bundle} --precision fp32")
    assert json.loads((second.path.parent / (second.path.name + ".json")).read_text())["schema"] == 1


def test_a_folder_that_cannot_be_written(jetson_bundle, built_here):
    (jetson_bundle / "engines").write_text("a file in the way")
    with pytest.raises(EdgekitError, match="cannot write"):
        built_here(jetson_bundle, precision="fp16")


def test_a_moved_bundle_names_its_new_place(jetson_bundle, built_here, tmp_path, monkeypatch):
    built_here(jetson_bundle, precision="fp16")
    moved = jetson_bundle.rename(tmp_path / "moved here")
    monkeypatch.setenv("FAKE_GPU_NAME", "another GPU")
    with pytest.raises(EdgekitError) as raised:
        open_backend(open_bundle(moved), "tensorrt")
    assert raised.value.fix == f"build it here: edgekit build '{moved}' --lane weak --precision fp16"


@pytest.mark.parametrize("level", [0, 5])
def test_a_level_of_optimization_is_given_to_the_builder_and_written_down(
    jetson_bundle, tensorrt, built_here, monkeypatch, level
):
    given = []
    configure = worker.configure
    monkeypatch.setattr(worker, "configure", lambda *a: given.append(configure(*a)) or given[-1])
    (built,) = built_here(jetson_bundle, precision="fp16", optimization_level=level)
    assert [config.builder_optimization_level for config in given] == [level]
    assert read_sidecar(built.path).rebuild("B").endswith(f"--optimization-level {level}")
