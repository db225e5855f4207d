"""Cross-layer equalisation: the function stays, the ranges of the channels meet."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edgekit.graphs.execute import Runner
from edgekit.quantize.equalise import equalise

THREE = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def answers(model: onnx.ModelProto, frames) -> np.ndarray:
    run = Runner(model)
    return np.concatenate([run(f)[run.outputs[0]] for f in frames()])


def chain(build, rng: np.random.Generator, spread: float) -> onnx.ModelProto:
    """Two layers whose channels differ by factors."""
    factors = np.exp(rng.normal(0, spread, 6)).astype(np.float32)[:, None, None, None]
    return build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", THREE),
            ("Relu", ["c0"], "r0", {}),
            ("MaxPool", ["r0"], "p0", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("Conv", ["p0", "w1", "b1"], "out", THREE),
        ],
        {
            "w0": (rng.standard_normal((6, 3, 3, 3)) * factors).astype(np.float32),
            "b0": rng.standard_normal(6).astype(np.float32) * factors.ravel(),
            "w1": rng.standard_normal((4, 6, 3, 3)).astype(np.float32),
            "b1": rng.standard_normal(4).astype(np.float32),
        },
        ["out"],
    )


@given(st.integers(0, 2**32 - 1), st.floats(0, 1.5))
@settings(max_examples=20)
def test_the_function_stays_and_the_channels_meet(build, frames, seed, spread):
    model = chain(build, np.random.default_rng(seed), spread)
    equal = equalise(model)
    expected = answers(model, frames)
    np.testing.assert_allclose(answers(equal, frames), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    w = weights(equal)
    np.testing.assert_allclose(np.abs(w["w0"]).max(axis=(1, 2, 3)), np.abs(w["w1"]).max(axis=(0, 2, 3)), rtol=2e-3)


def test_one_step_by_hand(build):
    """s = √(max|W1| / max|W2|): 8 and 2 meet at 4, 1 and 9 at 3."""
    model = build(
        [("Conv", ["input", "w0", "b0"], "c", {}), ("Relu", ["c"], "r", {}), ("Conv", ["r", "w1"], "out", {})],
        {
            "w0": np.float32([[8, -1, 0], [1, 0.5, 0]]).reshape(2, 3, 1, 1),
            "b0": np.float32([4, 6]),
            "w1": np.float32([[2, -9]]).reshape(1, 2, 1, 1),
        },
        ["out"],
    )
    w = weights(equalise(model))
    np.testing.assert_allclose(w["w0"].squeeze(), [[4, -0.5, 0], [3, 1.5, 0]])
    np.testing.assert_allclose(w["b0"], [2, 18])
    np.testing.assert_allclose(w["w1"].squeeze(), [4, -3])


def test_a_student_with_skips_and_joins_stays_the_same_function(student, frames):
    equal = equalise(student)
    expected = answers(student, frames)
    np.testing.assert_allclose(answers(equal, frames), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    before, after = weights(student), weights(equal)
    # r1 lies between two layers alone; r0 reaches a Concat and a sum, where nothing may scale it.
    assert not np.array_equal(before["w1"], after["w1"])
    assert np.array_equal(before["w0"], after["w0"]) and np.array_equal(before["w4"], after["w4"])


def skipping(build) -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    factors = np.float32([1, 10, 100, 1000]).reshape(4, 1, 1, 1)

    def weight(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", THREE),
            ("Relu", ["c0"], "r0", {}),
            ("Conv", ["r0", "w1", "b1"], "c1", THREE),
            ("Add", ["r0", "c1"], "sum", {}),
            ("Relu", ["sum"], "r1", {}),
            ("ConvTranspose", ["r1", "w2"], "t", {"strides": [2, 2]}),
            ("LeakyRelu", ["t"], "l", {}),
            ("Conv", ["l", "w3"], "d", {"group": 5, **THREE}),
            ("Conv", ["d", "w4"], "out", {}),
        ],
        {
            "w0": weight(4, 3, 3, 3) * factors,
            "b0": weight(4),
            "w1": weight(4, 4, 3, 3),
            "b1": weight(4),
            "w2": weight(4, 5, 2, 2) * factors,
            "w3": weight(5, 1, 3, 3) * np.float32([1, 0.01, 1, 100, 1]).reshape(5, 1, 1, 1),
            "w4": weight(2, 5, 1, 1),
        },
        ["out"],
    )


def test_through_a_sum_all_branches_scale_together(build, frames):
    model = skipping(build)
    equal = equalise(model)
    expected = answers(model, frames)
    np.testing.assert_allclose(answers(equal, frames), expected, rtol=1e-2, atol=1e-4 * np.abs(expected).max())
    before, after = weights(model), weights(equal)
    factors = np.median(after["w0"] / before["w0"], axis=(1, 2, 3))
    assert not np.allclose(factors, 1)
    # w1 reads the tied tensor and makes it: in and out cancel on the diagonal.
    np.testing.assert_allclose(np.einsum("iihw->ihw", after["w1"]), np.einsum("iihw->ihw", before["w1"]), rtol=1e-4)
    # w2 scales on both sides: what it reads by one factor each, what it makes by others, the same for all it reads.
    ratio = np.median(after["w2"] / before["w2"], axis=(2, 3)) * factors[:, None]
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-3)
    assert not np.allclose(after["w3"], before["w3"])  # transposed and depthwise layers take part


@pytest.mark.parametrize("operator", ["Sigmoid", "HardSigmoid"])
def test_nothing_scales_through_what_is_not_homogeneous(build, operator):
    rng = np.random.default_rng(0)
    model = build(
        [("Conv", ["input", "w0"], "c", {}), (operator, ["c"], "r", {}), ("Conv", ["r", "w1"], "out", {})],
        {
            "w0": rng.standard_normal((4, 3, 1, 1)).astype(np.float32),
            "w1": rng.standard_normal((2, 4, 1, 1)).astype(np.float32),
        },
        ["out"],
    )
    before, after = weights(model), weights(equalise(model))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_shared_weights_stay(build):
    rng = np.random.default_rng(0)
    model = build(
        [("Conv", ["input", "w"], "a", {}), ("Relu", ["a"], "r", {}), ("Conv", ["r", "w"], "out", {})],
        {"w": rng.standard_normal((3, 3, 1, 1)).astype(np.float32)},
        ["out"],
    )
    assert np.array_equal(weights(model)["w"], weights(equalise(model))["w"])


def test_a_silenced_channel_keeps_an_ordinary_bias(build):
    w0 = np.ones((4, 3, 1, 1), np.float32)
    w0[2] = 1e-12
    model = build(
        [("Conv", ["input", "w0", "b0"], "c", {}), ("Relu", ["c"], "r", {}), ("Conv", ["r", "w1"], "out", {})],
        {"w0": w0, "b0": np.ones(4, np.float32), "w1": np.ones((2, 4, 1, 1), np.float32)},
        ["out"],
    )
    assert np.abs(weights(equalise(model))["b0"]).max() < 2
