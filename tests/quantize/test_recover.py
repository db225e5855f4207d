"""Recovery on crafted networks: one that each step mends, and one that nothing has to mend.

The task of each is to tell which of a few logits is largest; the float network is right by definition: its mIoU is 1.
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekit.compile.compiler import compile_model, is_there
from edgekit.compile.kernels import count
from edgekit.errors import EdgekitError
from edgekit.graphs.execute import Runner
from edgekit.quantize.bias import correct_bias
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.qdq import write_qdq
from edgekit.quantize.recover import Recovery, recover
from edgekit.quantize.sensitivity import sensitivity
from edgekit.tasks import Task

CHANNELS = 16
TASKS, DEPTH = [Task("semantic", "semantic", classes=("a", "b"))], [Task("depth", "depth")]
SHAPE = (1, CHANNELS, 12, 16)


def writer(**style):
    return lambda model, ranges, keep_float: write_qdq(model, ranges, keep_float=keep_float, **style)


def miou(said: np.ndarray, truth: np.ndarray) -> float:
    classes = np.unique(truth)
    return float(np.mean([((said == c) & (truth == c)).sum() / ((said == c) | (truth == c)).sum() for c in classes]))


def evaluator(model: onnx.ModelProto, frames):
    """``evaluate`` for the gate: agreement with the float network."""
    exact = Runner(model)
    truth = [exact(f)["logits"].argmax(1) for f in frames()]

    def evaluate(candidate: onnx.ModelProto):
        run = Runner(candidate)
        said = [run(f)["logits"].argmax(1) for f in frames()]
        return {"semantic": {"miou": miou(np.stack(said), np.stack(truth)), "iou": {"a": 0.5}}}

    return evaluate


def recovered(
    model: onnx.ModelProto, frames, *, style: str = "onnxruntime", train_steps: int = 0, **config
) -> Recovery:
    settings = QuantizeConfig(observer="minmax", train_steps=train_steps, **config)
    return recover(model, frames, evaluator(model, frames), writer(style=style), TASKS, config=settings)


def tried(recovery: Recovery) -> list[tuple[str, bool]]:
    return [(step.name, step.holds) for step in recovery.steps]


def noise(seed: int = 0, count: int = 6):
    """Frames of 16 channels of independent noise."""

    def frames():
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield rng.standard_normal(SHAPE).astype(np.float32)

    return frames


def outlier_channel(build) -> onnx.ModelProto:
    """One channel between two layers is 3,000 times the others, and the next layer's weights take that back.

    A scale for all of them rounds the others to nothing. Equalisation moves the factor from one layer to the other.
    """
    rng = np.random.default_rng(0)
    first = rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    second = rng.standard_normal((2, CHANNELS, 1, 1)).astype(np.float32)
    first[5] *= 3000
    second[:, 5] /= 3000
    return build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", {}),
            ("Relu", ["c0"], "r0", {}),
            ("Conv", ["r0", "w1", "b1"], "logits", {}),
        ],
        {"w0": first, "b0": np.zeros(CHANNELS, np.float32), "w1": second, "b1": np.zeros(2, np.float32)},
        ["logits"],
        shape=SHAPE,
    )


def rounded_away(build) -> onnx.ModelProto:
    """Fourteen weights below half a step read channels that hardly vary: rounding them shifts a logit, no more.

    The step is set by a weight on a channel that is always near zero. There is no layer before to equalise with.
    """
    weight = np.zeros((2, CHANNELS, 1, 1), np.float32)
    weight[0, 0], weight[1, 0] = 10.0, -10.0  # the signal
    weight[0, 1] = 254.0  # sets the step to 2
    weight[0, 2:] = 0.9
    return build(
        [("Conv", ["input", "w", "b"], "logits", {})],
        {"w": weight, "b": np.float32([-14 * 0.9, 0])},
        ["logits"],
        shape=SHAPE,
    )


def nearly_constant():
    rng = np.random.default_rng(1)
    for _ in range(6):
        frame = 1 + 0.02 * rng.standard_normal(SHAPE)
        frame[:, 0] = rng.standard_normal(SHAPE[2:])
        frame[:, 1] = 0
        yield frame.astype(np.float32)


def loud_input(build) -> onnx.ModelProto:
    """The input's first channel is 3,000 times the others and the first layer ignores it.

    No scale for all channels serves the others; only float does. The second layer is harmless.
    """
    rng = np.random.default_rng(0)
    first = rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    first[:, 0] = 0
    return build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", {}),
            ("Relu", ["c0"], "r0", {}),
            ("Conv", ["r0", "w1", "b1"], "c1", {}),
            ("Relu", ["c1"], "r1", {}),
            ("Conv", ["r1", "w2", "b2"], "logits", {}),
        ],
        {
            "w0": first,
            "b0": np.zeros(CHANNELS, np.float32),
            "w1": rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32),
            "b1": np.zeros(CHANNELS, np.float32),
            "w2": rng.standard_normal((2, CHANNELS, 1, 1)).astype(np.float32),
            "b2": np.zeros(2, np.float32),
        },
        ["logits"],
        shape=SHAPE,
    )


def loud():
    for frame in noise()():
        frame[:, 0] *= 3000
        yield frame


def two_culprits(build) -> onnx.ModelProto:
    """Three layers read the loud input; what two of them say decides, what the third says is the same for both logits.

    The third makes the most noise and none of the errors, so that the noisiest layers are not those to keep.
    """
    rng = np.random.default_rng(3)
    branches = {f"w{name}": rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32) for name in "abc"}
    for weight in branches.values():
        weight[:, 0] = 0
    head = np.concatenate(
        [rng.standard_normal((2, 2 * CHANNELS, 1, 1)), np.full((2, CHANNELS, 1, 1), 2.0)], axis=1, dtype=np.float32
    )
    nodes = []
    for name in "abc":
        nodes.append(("Conv", ["input", f"w{name}", "b"], f"c{name}", {}))
        nodes.append(("Relu", [f"c{name}"], f"r{name}", {}))
    nodes += [("Concat", ["ra", "rb", "rc"], "all", {"axis": 1}), ("Conv", ["all", "head", "bias"], "logits", {})]
    weights = {**branches, "b": np.zeros(CHANNELS, np.float32), "head": head, "bias": np.zeros(2, np.float32)}
    return build(nodes, weights, ["logits"], shape=SHAPE)


# An exact argmax between continuous logits flips at some pixels under any rounding: more than the default's one point.
POINTS = {"gate": {"semantic": 5.0}}


@pytest.mark.parametrize("style", ["onnxruntime", "tensorrt"])
def test_equalisation_mends_an_outlier_channel(build, style):
    recovery = recovered(outlier_channel(build), noise(), style=style, **POINTS)
    assert tried(recovery) == [("calibrated", False), ("equalised", True)]
    assert recovery.holds and recovery.keep_float == ()


def test_bias_correction_mends_what_rounding_shifts(build):
    recovery = recovered(rounded_away(build), nearly_constant, **POINTS)
    assert tried(recovery) == [("calibrated", False), ("equalised", False), ("biases corrected", True)]
    assert [step.kept for step in recovery.steps] == [True, False, True]
    assert recovery.holds and recovery.keep_float == ()
    (bias,) = [numpy_helper.to_array(t) for t in recovery.model.graph.initializer if t.name == "b"]
    assert bias[0] == pytest.approx(0.0, abs=0.3)  # −14 · 0.9 + what the weights below half a step gave


@pytest.mark.parametrize("style", ["onnxruntime", "tensorrt"])
def test_the_fewest_layers_stay_in_float(build, style):
    recovery = recovered(loud_input(build), loud, style=style, **POINTS)
    assert [name for name, _ in tried(recovery)] == ["calibrated", "equalised", "biases corrected", "layers in float"]
    assert [holds for _, holds in tried(recovery)] == [False, False, False, True]
    assert recovery.holds and recovery.keep_float == ("c0_node",)
    assert "c0_node" in recovery.steps[-1].note


@pytest.mark.parametrize("style", ["onnxruntime", "tensorrt"])
def test_the_two_layers_that_are_needed_stay_in_float_and_no_other(build, style):
    model = two_culprits(build)
    recovery = recovered(model, loud, style=style, **POINTS)
    assert recovery.holds and recovery.keep_float == ("ca_node", "cb_node")
    # All sets of one and of two layers, by brute force: one of them passes.
    evaluate, write = evaluator(model, loud), writer(style=style)
    found = sensitivity(recovery.model, recovery.calibration.ranges, list(loud()), write)
    assert max(found, key=lambda layer: layer.noise["logits"]).layer == "cc_node"
    layers = [layer.layer for layer in found]
    few = [frozenset(chosen) for count in (0, 1, 2) for chosen in itertools.combinations(layers, count)]
    costs = {
        chosen: 100 * (1 - evaluate(write(recovery.model, recovery.calibration.ranges, chosen))["semantic"]["miou"])
        for chosen in few
    }
    assert len(layers) == 4 and len(costs) == 11
    assert [chosen for chosen in few if costs[chosen] <= 5.0] == [{"ca_node", "cb_node"}]


def test_nothing_is_done_where_the_gate_holds(build, student, frames):
    good, config = (lambda model: {"depth": {"absrel": 0.1}}), QuantizeConfig(observer="entropy")
    recovery = recover(student, frames, good, writer(style="onnxruntime"), DEPTH, config=config)
    assert tried(recovery) == [("calibrated", True)]
    assert recovery.model.graph == student.graph


def test_without_recovery_the_gate_only_judges(build):
    recovery = recovered(outlier_channel(build), noise(), recover=False, **POINTS)
    assert tried(recovery) == [("calibrated", False)]
    assert not recovery.holds


def test_what_cannot_be_mended_says_so(build):
    model = loud_input(build)
    scores = iter([1.0])
    recovery = recover(
        model,
        loud,
        lambda candidate: {"normals": {"mean_angle": 10.0 if next(scores, None) else 20.0}},
        writer(style="onnxruntime"),
        [Task("normals", "normals")],
        config=QuantizeConfig(observer="minmax", train_steps=2),
    )
    assert not recovery.holds and recovery.keep_float == ()
    assert recovery.steps[-1].name == "layers in float" and not recovery.steps[-1].kept


def test_the_description_says_which_and_why(build):
    described = recovered(loud_input(build), loud, **POINTS).describe()
    assert described["holds"] and described["float_layers"] == ["c0_node"]
    first, last = described["steps"][0], described["steps"][-1]
    (task,) = first["tasks"]
    assert task["metric"] == "miou" and task["fp32"] == 1.0 and task["cost"] > task["allowed"] == 5.0
    assert last["holds"] and "c0_node" in last["note"]


def test_layers_that_the_recipe_names_stay_in_float(build):
    recovery = recovered(outlier_channel(build), noise(), keep_float=["logits_node"], **POINTS)
    assert recovery.steps[0].holds and recovery.keep_float == ("logits_node",)
    with pytest.raises(EdgekitError, match="no layer 'head'") as caught:
        recovered(outlier_channel(build), noise(), keep_float=["head"])
    assert "c0_node" in caught.value.fix


@pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("crafted", "frames", "keep_float"),
    [
        (outlier_channel, noise(), ()),
        (rounded_away, nearly_constant, ()),
        (loud_input, loud, ("c0_node",)),
        (two_culprits, loud, ("ca_node", "cb_node")),
    ],
)
def test_nvidias_compiler_takes_every_crafted_network(build, crafted, frames, keep_float, dtype, calibrate):
    """With the scales that such ranges make, and with layers in float beside those in INT8, which it leaves so."""
    model = crafted(build)
    ranges = calibrate(model, frames, observer="minmax").ranges
    written = write_qdq(model, ranges, style="tensorrt", dtype=dtype, keep_float=keep_float)
    compiled = compile_model(written.SerializeToString(), crafted.__name__)
    assert compiled.taken, compiled.refusals
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    left = {{"float32": "FP32", "float16": "FP16"}[dtype]: len(keep_float)} if keep_float else {}
    reading = count(compiled.engine.kernels)["convolutions_reading"]
    assert reading == {"INT8": convolutions - len(keep_float), **left}


def test_corrected_biases_give_the_right_means(student, frames, calibrate):
    """Layer by layer: without, an early shift would be corrected once in every layer behind it."""
    ranges = calibrate(student, frames, observer="minmax").ranges
    # Coarse weights, so that there is something to correct.
    write = writer(style="onnxruntime", reduce_range=True)
    everything = list(frames())
    corrected = correct_bias(student, lambda m: write(m, ranges, frozenset()), everything)

    def mean(model: onnx.ModelProto) -> np.ndarray:
        run = Runner(model)
        return np.mean([run(f)["logits"].mean(axis=(0, 2, 3)) for f in everything], axis=0)

    before = np.abs(mean(write(student, ranges, frozenset())) - mean(student)).max()
    after = np.abs(mean(write(corrected, ranges, frozenset())) - mean(student)).max()
    assert after < 0.1 * before


def test_sensitivity_is_the_noise_of_one_layer_alone(student, frames, calibrate):
    ranges = calibrate(student, frames, observer="minmax").ranges
    some = list(frames())[:3]
    found = sensitivity(student, ranges, some, writer(style="tensorrt"))
    assert [s.layer for s in found] == ["c0_node", "c1_node", "c2_node", "c3_node", "logits_node"]
    exact = Runner(student)
    alone = Runner(
        write_qdq(student, ranges, style="tensorrt", keep_float={"c0_node", "c1_node", "c3_node", "logits_node"})
    )
    truth, said = (np.stack([run(f)["logits"] for f in some]) for run in (exact, alone))
    variance = np.mean([np.var(t, axis=(0, 2, 3)).mean() for t in truth])
    assert found[2].noise["logits"] == pytest.approx(np.mean((said - truth) ** 2) / variance, rel=1e-3)


def test_sensitivity_finds_the_culprit(build, calibrate):
    model = loud_input(build)
    ranges = calibrate(model, loud, observer="minmax").ranges
    found = sensitivity(model, ranges, list(loud()), writer(style="onnxruntime"))
    assert max(found, key=lambda s: s.noise["logits"]).layer == "c0_node"
    assert found[0].weights == CHANNELS * CHANNELS and found[0].operator == "Conv"
