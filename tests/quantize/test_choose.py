"""Which observer and weights are chosen, beside the same comparison written out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgekit.graphs.execute import Runner
from edgekit.quantize.bias import correct_bias
from edgekit.quantize.calibration import calibrations
from edgekit.quantize.choose import calibrate_best
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.equalise import equalise
from edgekit.quantize.qdq import write_qdq
from edgekit.quantize.recover import recover
from edgekit.tasks import Task

SEMANTIC = Task("ground", "semantic", classes=tuple("abcdefgh"))
DEPTH = Task("depth", "depth", range=(0.5, 100.0), unit="m")
OBSERVERS = ("minmax", "percentile", "entropy", "mse")


def write(model, ranges, keep_float=frozenset()):
    return write_qdq(model, ranges, keep_float=keep_float, style="onnxruntime")


@pytest.fixture(scope="module")
def network(student) -> onnx.ModelProto:
    """The student, with eight classes and a depth that is one of its channels squeezed into 0-1."""
    model = onnx.ModelProto.FromString(student.SerializeToString())
    graph = model.graph
    graph.node[-1].output[0] = graph.output[0].name = "ground_logits"
    weights = {"wd": np.full((1, 16, 1, 1), 0.02, np.float32), "bd": np.full(1, 0.5, np.float32)}
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    graph.node.append(onnx.helper.make_node("Conv", ["r3", "wd", "bd"], ["depth_logits"], name="depth_node"))
    graph.output.append(onnx.helper.make_tensor_value_info("depth_logits", onnx.TensorProto.FLOAT, [None] * 4))
    onnx.checker.check_model(model, full_check=True)
    return model


def noise(outliers: float):
    def frames():
        rng = np.random.default_rng(3)
        for _ in range(6):
            frame = rng.standard_normal((1, 3, 12, 16)).astype(np.float32)
            frame[0, 0, 0, 0] *= outliers
            yield frame

    return frames


def written_out(network, graph, frames, observer: str, ranges=None) -> float:
    """The geometric mean of 1 - mIoU and of the relative error of depth, INT8 of ``graph`` against float."""
    ranges = ranges or calibrations(graph, frames, QuantizeConfig(observer=observer).observers())[observer].ranges
    exact, integers = Runner(network), Runner(write(graph, ranges))
    classes, depths = [], []
    for frame in frames():
        pair = exact(frame), integers(frame)
        classes.append([one["ground_logits"][0].argmax(0) for one in pair])
        near, far = DEPTH.range
        codes = [np.clip(one["depth_logits"][0, 0].astype(np.float64), 0, 1) for one in pair]
        depths.append([near * (far / near) ** code for code in codes])
    truth, given = (np.stack([pair[i] for pair in classes]) for i in (0, 1))
    shares = [((truth == c) & (given == c)).sum() / ((truth == c) | (given == c)).sum() for c in np.unique(truth)]
    meters, found = (np.stack([pair[i] for pair in depths]) for i in (0, 1))
    changes = [1 - np.mean(shares), np.mean(np.abs(found - meters) / meters)]
    return float(np.sqrt(np.prod(np.maximum(changes, 1e-4))))


@pytest.mark.parametrize(("outliers", "uneven"), [(1.0, 1.0), (40.0, 1.0), (1.0, 60.0)])
def test_the_one_that_changes_least(network, frames, outliers, uneven, calibrate):
    frames, network = noise(outliers), with_uneven_channels(network, uneven)
    graph, found = calibrate_best(network, frames, QuantizeConfig(), [SEMANTIC, DEPTH], [write])
    graphs = {"": network, ", equalised": equalise(network)}
    expected = {f"{o}{how}": written_out(network, g, frames, o) for how, g in graphs.items() for o in OBSERVERS}
    best = min(expected, key=expected.get)
    ranges = calibrate(graph, frames, observer=found.observer).ranges
    corrected = correct_bias(graph, lambda g: write(g, ranges), list(frames())[::2])
    with_biases = written_out(network, corrected, frames, found.observer, ranges)
    assert found.compared == pytest.approx(expected | {f"{best}, biases corrected": with_biases}, rel=1e-4)
    assert found.biases_corrected == (with_biases < expected[best])
    assert (found.observer, found.equalised) == (best.partition(",")[0], best.endswith("equalised"))
    assert found.ranges == ranges
    assert len(set(found.compared.values())) > 4  # the case tells them apart
    assert found.equalised or uneven == 1.0
    sample = next(frames())
    for name, answer in Runner(graph)(sample).items():  # the same function
        np.testing.assert_allclose(answer, Runner(network)(sample)[name], atol=1e-3 * np.abs(answer).max())


def with_uneven_channels(network, factor: float) -> onnx.ModelProto:
    """The same function, every other channel between two layers ``factor`` times as large."""
    out = onnx.ModelProto.FromString(network.SerializeToString())
    scale = np.where(np.arange(32) % 2, factor, 1.0).astype(np.float32)
    tensors = {tensor.name: tensor for tensor in out.graph.initializer}
    values = {name: onnx.numpy_helper.to_array(tensors[name]) for name in ("w1", "b1", "w2")}
    values["w1"] = values["w1"] * scale[:, None, None, None]
    values["b1"] = values["b1"] * scale
    values["w2"] = values["w2"] / scale[None, :, None, None]
    for name, value in values.items():
        tensors[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
    return out


def test_frames_are_read_once_for_all_observers_and_once_to_compare(network):
    reads = []

    def frames():
        reads.append(0)
        return noise(1.0)()

    calibrate_best(network, frames, QuantizeConfig(), [SEMANTIC], [write, write])
    assert len(reads) == 3  # the weights equalised too


@pytest.mark.parametrize("tasks", [[], [SEMANTIC, DEPTH]])
def test_a_mask_that_is_nowhere_tells_nothing(network, tasks):
    """Its score is undefined: the others decide, or the first way where there are none."""
    masked = onnx.ModelProto.FromString(network.SerializeToString())
    weights = {"wm": np.full((1, 16, 1, 1), 0.02, np.float32), "bm": np.full(1, -50.0, np.float32)}
    masked.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    masked.graph.node.append(onnx.helper.make_node("Conv", ["r3", "wm", "bm"], ["roof_logits"], name="roof_node"))
    masked.graph.output.append(onnx.helper.make_tensor_value_info("roof_logits", onnx.TensorProto.FLOAT, [None] * 4))
    onnx.checker.check_model(masked, full_check=True)
    _, found = calibrate_best(masked, noise(1.0), QuantizeConfig(), [Task("roof", "binary"), *tasks], [write])
    if tasks:
        _, expected = calibrate_best(masked, noise(1.0), QuantizeConfig(), tasks, [write])
        assert found.compared == expected.compared
    else:
        assert found.observer == OBSERVERS[0] and len(set(found.compared.values())) == 1


def test_a_named_one_is_not_compared(network):
    graph, found = calibrate_best(network, noise(1.0), QuantizeConfig(observer="mse"), [SEMANTIC], [write])
    assert graph is network and (found.observer, found.compared, found.equalised) == ("mse", {}, False)


def test_the_worst_style_counts_as_much_as_the_best(network):
    """With a style that leaves all in float, whose change is zero, the order is that of the other."""
    styles = [write, lambda model, ranges, keep: model]
    _, both = calibrate_best(network, noise(40.0), QuantizeConfig(), [SEMANTIC], styles)
    _, one = calibrate_best(network, noise(40.0), QuantizeConfig(), [SEMANTIC], styles[:1])
    both, one = ({way: c for way, c in f.compared.items() if "biases" not in way} for f in (both, one))
    assert sorted(both, key=both.get) == sorted(one, key=one.get)


def test_recovery_begins_with_what_was_chosen(network):
    def coarse(model, ranges, keep_float=frozenset()):  # weights of 7 bits
        return write_qdq(model, ranges, keep_float=keep_float, style="onnxruntime", reduce_range=True)

    network, frames, tasks = with_uneven_channels(network, 60.0), noise(1.0), [SEMANTIC, DEPTH]
    graph, chosen = calibrate_best(network, frames, QuantizeConfig(), tasks, [coarse])
    assert chosen.equalised and chosen.biases_corrected
    scores = lambda miou: {"ground": {"miou": miou}, "depth": {"absrel": 0.1}}  # noqa: E731
    found = recover(network, frames, lambda m: scores(0.9), coarse, tasks)
    expected = correct_bias(graph, lambda g: coarse(g, chosen.ranges), list(frames()))
    assert found.calibration == chosen and [step.name for step in found.steps] == ["calibrated"]
    assert weights(found.model) == weights(expected) != weights(graph)
    bad = iter([0.9])  # of the float graph; of all that follow 0.5
    found = recover(network, frames, lambda m: scores(next(bad, 0.5)), coarse, tasks)
    names = [step.name for step in found.steps]
    assert names[:2] == ["calibrated", "weights trained"]  # neither equalised nor corrected once more


def weights(model: onnx.ModelProto) -> dict[str, bytes]:
    return {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
