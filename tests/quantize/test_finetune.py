"""Quantization-aware fine-tuning, against onnx's reference implementation on the graphs that are written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.graphs.execute import Runner
from edgekit.graphs.opset import at_opset
from edgekit.quantize.calibration import calibrations
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.differentiable import DifferentiableGraph, UnknownOperatorError
from edgekit.quantize.finetune import CROP, _crop, finetuned
from edgekit.quantize.observers.minmax import MinMax
from edgekit.quantize.qdq import write_qdq
from edgekit.quantize.recover import recover
from edgekit.tasks import Task

STYLES = [{"style": "onnxruntime"}, {"style": "onnxruntime", "reduce_range": True}, {"style": "tensorrt"}]


def writer(model, frames, *, keep_float=frozenset(), **style):
    ranges = calibrations(model, frames, {"minmax": MinMax()})["minmax"].ranges
    return lambda m: write_qdq(m, ranges, keep_float=keep_float, **style)


def reference(model):
    """Every output by name: not onnxruntime, whose integer kernels round sums and resizes their own way."""
    run = ReferenceEvaluator(at_opset(model, 19))  # older ones it does not know
    return lambda frame: dict(zip(run.output_names, run.run(None, {"input": frame}), strict=True))


def noise_share(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.square(found - exact).mean() / exact.var())


@pytest.fixture(scope="module")
def coarse(build):
    """Few weights are far larger than the others of their channel: INT8 is hardly better than noise."""
    rng = np.random.default_rng(0)

    def weight(*shape):
        return (rng.standard_t(0.8, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    three = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    weights = {
        "w0": weight(16, 3, 3, 3),
        "w1": weight(16, 1, 3, 3),
        "w2": weight(16, 16, 1, 1),
        "w3": weight(4, 16, 1, 1),
    }
    biases = {f"b{i}": rng.standard_normal(n).astype(np.float32) for i, n in enumerate((16, 16, 16, 4))}
    return build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", three),
            ("Relu", ["c0"], "r0", {}),
            ("Conv", ["r0", "w1", "b1"], "c1", {**three, "group": 16}),
            ("Relu", ["c1"], "r1", {}),
            ("Conv", ["r1", "w2", "b2"], "c2", {}),
            ("Relu", ["c2"], "r2", {}),
            ("Conv", ["r2", "w3", "b3"], "logits", {}),
        ],
        {**weights, **biases},
        ["logits"],
        shape=(1, 3, 24, 32),
    )


def pictures(seed: int, count: int):
    def frames():
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield rng.standard_normal((1, 3, 24, 32)).astype(np.float32)

    return frames


@pytest.mark.parametrize("style", STYLES)
def test_it_computes_what_the_written_graph_computes(student, frames, style):
    write = writer(student, frames, **style)
    network, run = DifferentiableGraph(student, write(student)), reference(write(student))
    for frame in list(frames())[:2]:
        with torch.no_grad():
            found = network(torch.from_numpy(frame))
        for name, exact in run(frame).items():
            # Between integers a Resize by 2 often ends half-way between two of them, to be rounded either way.
            assert noise_share(found[name].numpy(), exact) < 1e-4


def test_without_pairs_it_is_the_float_graph(student, frames):
    network, run = DifferentiableGraph(student, student), Runner(student)
    for frame in list(frames())[:2]:
        with torch.no_grad():
            found = network(torch.from_numpy(frame))
        for name, exact in run(frame).items():
            np.testing.assert_allclose(found[name].numpy(), exact, atol=1e-4 * np.abs(exact).max())


def test_training_brings_most_of_the_loss_back(coarse):
    write = writer(coarse, pictures(0, 8), style="onnxruntime", reduce_range=True)
    trained = finetuned(coarse, write, pictures(0, 8), 200)
    exact, before, after = Runner(coarse), Runner(write(coarse)), Runner(write(trained))
    unseen = list(pictures(1, 4)())
    lost, left = (
        np.mean([noise_share(run(frame)["logits"], exact(frame)["logits"]) for frame in unseen])
        for run in (before, after)
    )
    assert lost > 0.2 and left < 0.5 * lost


@pytest.mark.parametrize("style", STYLES)
def test_what_is_written_is_what_was_trained(coarse, style):
    write = writer(coarse, pictures(0, 4), **style)
    trained = finetuned(coarse, write, pictures(0, 4), 20)
    frame = next(pictures(2, 1)())
    with torch.no_grad():
        found = DifferentiableGraph(trained, write(trained))(torch.from_numpy(frame))["logits"].numpy()
    exact = reference(write(trained))(frame)["logits"]
    assert np.isclose(found, exact, rtol=1e-4, atol=1e-5 * exact.std()).mean() > 0.99
    assert trained.graph.node == coarse.graph.node
    assert any(
        not np.array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b))
        for a, b in zip(coarse.graph.initializer, trained.graph.initializer, strict=True)
    )


def test_a_layer_in_float_trains_too_and_stays_float(coarse):
    write = writer(coarse, pictures(0, 4), keep_float=frozenset({"c0_node"}), style="onnxruntime")
    network = DifferentiableGraph(coarse, write(coarse))
    found = network(torch.from_numpy(next(pictures(2, 1)())))["logits"].detach().numpy()
    exact = reference(write(coarse))(next(pictures(2, 1)()))["logits"]
    assert np.isclose(found, exact, rtol=1e-4, atol=1e-5 * exact.std()).mean() > 0.99


def test_the_gradient_of_a_rounded_weight_is_that_of_its_step(build):
    """One weight of three sets the step: its gradient holds the others' rounding errors (arXiv 1902.08153, eq. 3)."""
    weight = np.float32([[127.0, 1.3, -2.6]]).reshape(1, 3, 1, 1)
    model = build(
        [("Conv", ["input", "w", "b"], "logits", {})], {"w": weight, "b": np.zeros(1, np.float32)}, ["logits"]
    )
    write = writer(model, lambda: iter([np.ones((1, 3, 12, 16), np.float32)]), style="onnxruntime")
    network = DifferentiableGraph(model, write(model))
    network(torch.ones(1, 3, 1, 1))["logits"].sum().backward()
    (gradient,) = [p.grad.reshape(-1) for p in network.parameters() if p.ndim == 4]
    # Rounded to 127, 1, -3 in steps of 1: errors -0.3 and -0.4, of which 1/127 is the largest weight's.
    np.testing.assert_allclose(gradient, [1 + (-0.3 - 0.4) / 127, 1, 1], rtol=1e-4)


def test_an_operator_without_a_gradient_is_named(build):
    model = build([("Sin", ["input"], "logits", {})], {}, ["logits"])
    with pytest.raises(UnknownOperatorError, match="Sin"):
        DifferentiableGraph(model, model)


def gate_of(model, frames):
    """``evaluate`` for the gate: how much of the float network's output is left, as if it were mIoU."""
    exact = Runner(model)
    truth = [exact(frame)["logits"] for frame in frames()]

    def evaluate(candidate):
        run = Runner(candidate)
        lost = np.mean([noise_share(run(f)["logits"], t) for f, t in zip(frames(), truth, strict=True)])
        return {"semantic": {"miou": 1 - min(1.0, float(lost)), "iou": {"a": 0.5}}}

    return evaluate


def copies():
    """Channel 0 and a signal that all from 2 on repeat; channel 1 hardly varies."""
    rng = np.random.default_rng(2)
    for _ in range(8):
        frame = np.repeat(rng.standard_normal((1, 1, 12, 16)), 16, axis=1)
        frame[:, 0] = rng.standard_normal((12, 16))
        frame[:, 1] = 0.005 * rng.standard_normal((12, 16))
        yield frame.astype(np.float32)


def test_it_is_tried_before_layers_are_left_in_float(build):
    """Fourteen weights below half a step say together what matters; a few of them, rounded up, can say it alone.

    There is no layer before to equalise with, and no mean that a bias could correct.
    """
    weight = np.zeros((2, 16, 1, 1), np.float32)
    weight[:, 0, 0, 0], weight[:, 1] = [1.0, -1.0], 40.0  # which sets the step to 0.315
    weight[0, 2:, 0, 0] = np.random.default_rng(0).uniform(0.05, 0.15, 14)
    model = build(
        [("Conv", ["input", "w", "b"], "logits", {})],
        {"w": weight, "b": np.zeros(2, np.float32)},
        ["logits"],
        shape=(1, 16, 12, 16),
    )
    task = Task("semantic", "semantic", classes=("a", "b"))
    write = lambda m, ranges, keep: write_qdq(m, ranges, keep_float=keep)  # noqa: E731
    for steps, last in ((100, "weights trained"), (0, "layers in float")):
        config = QuantizeConfig(observer="minmax", train_steps=steps, gate={"semantic": 10.0})
        found = recover(model, copies, gate_of(model, copies), write, [task], config=config)
        assert found.holds and found.shipped.name == found.steps[-1].name == last
        assert bool(found.keep_float) == (last == "layers in float")


def test_a_graph_that_cannot_train_goes_on_to_layers_in_float(build):
    weights = {"w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "b": np.zeros(3, np.float32)}
    model = build([("Sin", ["input"], "s", {}), ("Conv", ["s", "w", "b"], "logits", {})], weights, ["logits"])
    scores = iter([0.9])
    evaluate = lambda candidate: {"semantic": {"miou": next(scores, 0.5), "iou": {"a": 0.5}}}  # noqa: E731
    write = lambda m, ranges, keep: write_qdq(m, ranges, keep_float=keep)  # noqa: E731
    task = Task("semantic", "semantic", classes=("a", "b", "c"))
    config = QuantizeConfig(observer="entropy")
    found = recover(model, lambda: iter([np.ones((1, 3, 12, 16), np.float32)]), evaluate, write, [task], config=config)
    (step,) = [step for step in found.steps if step.name == "weights trained"]
    assert not step.kept and "Sin" in step.note and found.steps[-1].name == "layers in float"


def test_large_frames_are_seen_in_crops_that_begin_where_coarse_maps_do():
    rows, columns = np.arange(540)[:, None], np.arange(960)[None]
    frame = np.stack([np.broadcast_to(rows, (540, 960)), np.broadcast_to(columns, (540, 960))])[None].astype(np.float32)
    corners = set()
    for seed in range(200):
        crop = _crop(frame, np.random.default_rng(seed))
        assert crop.shape == (1, 2, *CROP)
        corners.add((crop[0, 0, 0, 0], crop[0, 1, 0, 0]))
    tops, lefts = ({corner[i] for corner in corners} for i in (0, 1))
    assert tops == set(range(0, 540 - 256 + 1, 16)) and lefts <= set(range(0, 960 - 384 + 1, 16)) and len(lefts) > 30
    assert _crop(frame[:, :, :48, :960], np.random.default_rng(0)).shape == (1, 2, 48, 384)
    assert np.array_equal(_crop(frame[:, :, :48, :64], np.random.default_rng(0)), frame[:, :, :48, :64])
