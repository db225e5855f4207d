"""Calibration of whole graphs: what is ranged, with what range, and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgekit.errors import EdgekitError
from edgekit.quantize.observers import OBSERVERS
from edgekit.quantize.observers.percentile import Percentile


def activations(model: onnx.ModelProto, names: list[str], frames) -> dict[str, np.ndarray]:
    """All values of tensors, by a session of the test's own."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    del copy.graph.output[:]
    copy.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names)
    session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    values = [session.run(names, {"input": f}) for f in frames()]
    return {n: np.concatenate([v[i].ravel() for v in values]) for i, n in enumerate(names)}


def test_minmax_is_the_extremes(student, frames, calibrate):
    calibration = calibrate(student, frames, observer="minmax")
    own = ["r0", "r1", "c2", "sum", "r3", "logits"]
    values = {**activations(student, own, frames), "input": np.concatenate([f.ravel() for f in frames()])}
    for name in ("input", "r1", "c2", "sum", "logits"):
        expected = (min(0.0, values[name].min()), max(0.0, values[name].max()))
        assert calibration.ranges[name] == pytest.approx(expected, rel=1e-5)
    assert calibration.count == 8


def test_what_joins_and_what_passes_share_a_range(student, frames, calibrate):
    calibration = calibrate(student, frames, observer="minmax")
    assert calibration.ranges["up"] == calibration.ranges["c2"]
    assert calibration.ranges["r0"] == calibration.ranges["r3"] == calibration.ranges["both"]
    values = activations(student, ["r0", "r3"], frames)
    assert calibration.ranges["both"][1] == pytest.approx(max(values["r0"].max(), values["r3"].max()), rel=1e-5)


def test_tensors_that_no_runtime_stores_are_listed(student, frames, calibrate):
    calibration = calibrate(student, frames)
    assert calibration.unranged == ("c0", "c1", "c3")
    assert set(calibration.ranges) == {"input", "r0", "r1", "c2", "up", "sum", "r3", "both", "logits"}


def test_constants_that_are_joined_count(build, frames, calibrate):
    model = build(
        [("Concat", ["input", "k"], "both", {"axis": 1}), ("Relu", ["both"], "out", {})],
        {"k": np.full((1, 1, 12, 16), 99.0, np.float32)},
        ["out"],
    )
    calibration = calibrate(model, frames, observer="minmax")
    assert calibration.ranges["both"][1] == 99.0
    assert "k" not in calibration.ranges


@pytest.mark.parametrize("observer", OBSERVERS)
def test_threads_change_nothing(student, frames, observer, calibrate):
    assert calibrate(student, frames, observer=observer, threads=1) == calibrate(
        student, frames, observer=observer, threads=3
    )


def test_the_hash_is_of_the_frames_in_order(student, frames, calibrate):
    digest = hashlib.sha256()
    for frame in frames():
        digest.update(repr(frame.shape).encode() + frame.tobytes())
    assert calibrate(student, frames, observer="minmax").frames == digest.hexdigest()
    assert calibrate(student, lambda: reversed(list(frames())), observer="minmax").frames != digest.hexdigest()


def test_batches_and_open_shapes(build, student, frames, calibrate):
    open_model = onnx.ModelProto.FromString(student.SerializeToString())
    for axis in (0, 2, 3):
        open_model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    whole = list(frames())
    batches = calibrate(open_model, lambda: [np.concatenate(whole[:5]), np.concatenate(whole[5:])])
    single = calibrate(student, frames)
    assert batches.count == single.count == 8
    assert batches.ranges["sum"] == pytest.approx(single.ranges["sum"], rel=1e-3)


@pytest.mark.parametrize("observer", ["percentile", "mse", "entropy"])
def test_an_outlier_makes_a_second_pass(build, observer, calibrate):
    """One value of 10,000 among values of 1: the first pass has too few bins left to see by."""
    model = build([("Neg", ["input"], "out", {})], {}, ["out"], shape=(1, 1, 200, 200))
    passes = []

    def frames():
        passes.append(0)
        rng = np.random.default_rng(0)
        for k in range(4):
            frame = rng.uniform(-1, 1, (1, 1, 200, 200)).astype(np.float32)
            if k == 2:
                frame[0, 0, 0, 0] = 1e4
            yield frame

    # MSE pays for the clipped value with its square: it keeps more room, and is right to.
    chosen = Percentile(99.9) if observer == "percentile" else observer
    lo, hi = calibrate(model, frames, observer=chosen).ranges["out"]
    if observer == "mse":
        assert 100 < -lo <= 1e4
    else:
        assert len(passes) > 1
        assert 0.9 < hi <= 1.0 and 0.9 < -lo < 1.6


@pytest.mark.parametrize(("op", "name"), [("Tanh", "input"), ("Neg", "out")])
def test_a_second_pass_for_the_input_alone(build, op, name, calibrate):
    """Behind Tanh there is no outlier where the input has one; behind Neg there is."""
    model = build([(op, ["input"], "out", {})], {}, ["out"], shape=(1, 1, 100, 100))

    def frames():
        frame = np.random.default_rng(0).uniform(-1, 1, (1, 1, 100, 100)).astype(np.float32)
        frame[0, 0, 0, 0] = 1e4
        return [frame]

    ranges = calibrate(model, frames, observer=Percentile(99.9)).ranges
    assert all(0.99 < max(-lo, hi) < 1.01 for lo, hi in [ranges["input"], ranges[name]])
    assert ranges["out"][1] == pytest.approx(np.tanh(1.0) if op == "Tanh" else 1.0, abs=0.3)


def test_the_manifest_entry(student, frames, calibrate):
    calibration = calibrate(student, frames, observer=Percentile(99.9))
    ranges = calibration.manifest(model="m", preprocessing="p")
    assert (ranges.observer, ranges.count, ranges.model, ranges.preprocessing) == ("percentile", 8, "m", "p")
    assert ranges.tensors == calibration.ranges and ranges.unranged == calibration.unranged


def test_progress_counts_frames(student, frames, calibrate):
    told = []
    calibrate(student, frames, observer="minmax", progress=told.append)
    assert told == sorted(told) and told[-1] == 8


def test_no_frames_is_an_error(student, calibrate):
    with pytest.raises(EdgekitError, match="no frames to calibrate"):
        calibrate(student, list)


def test_frames_of_another_size_are_refused(student, calibrate):
    with pytest.raises(EdgekitError, match="frame 0 is 1×3×12×20 float32, the network's input 'input' is 1×3×12×16"):
        calibrate(student, lambda: [np.zeros((1, 3, 12, 20), np.float32)])
    with pytest.raises(EdgekitError, match="float64"):
        calibrate(student, lambda: [np.zeros((1, 3, 12, 16))])


def test_a_broken_network_is_refused(student, calibrate):
    with pytest.raises(EdgekitError, match="'input' is not finite"):
        calibrate(student, lambda: [np.full((1, 3, 12, 16), np.nan, np.float32)])


def test_an_unknown_observer_lists_the_known(student, frames, calibrate):
    with pytest.raises(EdgekitError) as caught:
        calibrate(student, frames, observer="kl")
    assert "entropy" in caught.value.fix


def test_frames_that_change_between_passes_are_refused(build, calibrate):
    model = build([("Neg", ["input"], "out", {})], {}, ["out"], shape=(1, 1, 100, 100))
    rng = np.random.default_rng(0)

    def frames():
        frame = rng.uniform(-1, 1, (1, 1, 100, 100)).astype(np.float32)
        frame[0, 0, 0, 0] = 1e4
        return [frame]

    with pytest.raises(EdgekitError, match="changed between passes"):
        calibrate(model, frames, observer=Percentile(99.9))
