"""Q/DQ for onnxruntime: the same numbers as its own quantizer, and integer kernels where there are any."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edgekit.engine.calibration_cache import INT8_MOST
from edgekit.quantize.parameters import REDUCED_MOST
from edgekit.quantize.qdq import write_qdq


def _saturates() -> bool:
    """Whether onnxruntime's integer kernels saturate here: an x86 without VNNI adds products of 8 bits in 16."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text(encoding="utf-8").split()) if info.exists() else set()
    return "avx2" in flags and not flags & {"avx512_vnni", "avx_vnni"}


SATURATES = _saturates()


@pytest.fixture(scope="module")
def ranges(student, frames, calibrate):
    return calibrate(student, frames, observer="minmax").ranges


def optimized(model: onnx.ModelProto, tmp_path) -> onnx.ModelProto:
    """What onnxruntime makes of it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # it warns that the file is for this machine
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(tmp_path / "optimized.onnx")


def run(model: onnx.ModelProto, frames) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input": f})[0] for f in frames()])


def peer(model: onnx.ModelProto, ranges, operators: list[str]) -> onnx.ModelProto:
    """onnxruntime's own quantizer with these ranges."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    # It wants a range for what it removes together with the ReLU behind it, too.
    removed = {n.input[0]: ranges[n.output[0]] for n in model.graph.node if n.op_type == "Relu"}
    data = {name: (np.float32(lo), np.float32(hi)) for name, (lo, hi) in {**ranges, **removed}.items()}
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=operators,
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    quantizer.quantize_model()
    return quantizer.model.model


def parameters(model: onnx.ModelProto) -> dict[str, tuple[bytes, bytes]]:
    """Activation → bytes of (scale, zero-point) of the QuantizeLinear that reads it."""
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {
        node.input[0]: (values[node.input[1]].tobytes(), values[node.input[2]].tobytes())
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }


def integers(model: onnx.ModelProto) -> dict[str, list[np.ndarray]]:
    """Name of a convolution → [weights, scales, bias, scales], as its DequantizeLinear nodes read them."""
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node}
    out = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            dequantize = [made[name] for name in node.input[1:]]
            out[node.name] = [values[name] for dq in dequantize for name in dq.input[:2]]
    return out


def test_scales_zero_points_and_outputs_are_those_of_its_own_quantizer(student, frames, ranges):
    ours = write_qdq(student, ranges)
    theirs = peer(student, ranges, ["Conv", "Relu", "Add", "Concat", "Resize"])
    # The peer quantizes the output too, and calls its exact value by another name; else the tensors are the same.
    mine = parameters(ours)
    other = {name.removesuffix("_QuantizeLinear_Input"): p for name, p in parameters(theirs).items()}
    del other["logits"], theirs.graph.output[:]
    exact = helper.make_tensor_value_info("logits_QuantizeLinear_Input", TensorProto.FLOAT, [None] * 4)
    theirs.graph.output.append(exact)
    assert mine == other and len(mine) == 8
    for name, arrays in integers(theirs).items():
        for own, expected in zip(integers(ours)[name], arrays, strict=True):
            assert own.dtype == expected.dtype
            np.testing.assert_array_equal(own, expected)
    np.testing.assert_array_equal(run(ours, frames), run(theirs, frames))


def test_everything_runs_in_integers_but_the_layer_of_the_output(student, ranges, tmp_path):
    kinds = Counter(n.op_type for n in optimized(write_qdq(student, ranges), tmp_path).graph.node)
    assert kinds["QLinearConv"] == 4 and kinds["Conv"] == 1
    assert kinds["QLinearAdd"] == kinds["QLinearConcat"] == 1
    assert {"FusedConv", "Add", "Concat", "Relu"}.isdisjoint(kinds)


def test_outputs_are_float(student, frames, ranges):
    exact = run(student, frames)
    assert len(np.unique(run(write_qdq(student, ranges), frames))) > 256
    error = run(write_qdq(student, ranges, reduce_range=SATURATES), frames) - exact
    assert np.abs(error).mean() < 0.03 * np.abs(exact).mean()


def test_names_of_tensors_inputs_and_outputs_stay(student, ranges):
    model = write_qdq(student, ranges)
    assert [i.name for i in model.graph.input] == ["input"] and [o.name for o in model.graph.output] == ["logits"]
    made = {name for n in model.graph.node for name in n.output}
    assert {"r0", "r1", "c2", "up", "sum", "r3", "both"} <= made
    assert model.opset_import[0].version == 17


def test_a_float_layer_reads_and_has_floats(student, frames, ranges):
    model = write_qdq(student, ranges, keep_float={"c3_node"})
    (layer,) = [n for n in model.graph.node if n.name == "c3_node"]
    assert list(layer.input) == ["sum", "w3", "b3"]
    everything = {n.name for n in student.graph.node if n.op_type == "Conv"}
    np.testing.assert_allclose(run(write_qdq(student, ranges, keep_float=everything), frames), run(student, frames))


@pytest.mark.parametrize("operator", ["Tanh", "Softplus", "Erf", "Exp"])
@pytest.mark.parametrize("activated", [False, True])
def test_what_a_float_layer_gives_is_read_as_it_is(build, frames, operator, activated, calibrate):
    """A float operator reads integers behind an integer layer, and floats behind one that is left in float."""
    weight = np.random.default_rng(0).standard_normal((16, 3, 1, 1)).astype(np.float32)
    relu, read = ([("Relu", ["c"], "r", {})], "r") if activated else ([], "c")
    model = build([("Conv", ["input", "w"], "c", {}), *relu, (operator, [read], "out", {})], {"w": weight}, ["out"])
    ranges = calibrate(model, frames, observer="minmax").ranges
    kept = write_qdq(model, ranges, keep_float={"c_node"})
    (reader,) = [n for n in kept.graph.node if n.op_type == operator]
    assert list(reader.input) == [read]
    assert not any(n.op_type == "QuantizeLinear" for n in kept.graph.node)
    np.testing.assert_array_equal(run(kept, frames), run(model, frames))
    (reader,) = [n for n in write_qdq(model, ranges).graph.node if n.op_type == operator]
    assert list(reader.input) != [read]


@pytest.mark.parametrize("kept", ["c0_node", "c1_node", "c2_node", "c3_node", "logits_node"])
def test_every_layer_can_be_left_in_float(student, ranges, kept):
    """And what it alone reads and gives stays float; every other convolution is quantized."""
    model = write_qdq(student, ranges, keep_float={kept})
    made = {name: node for node in model.graph.node for name in node.output}
    for layer in (n for n in model.graph.node if n.op_type == "Conv"):
        sources = [made[name].op_type for name in layer.input[:2] if name in made]
        assert ("DequantizeLinear" in sources) == (layer.name != kept), layer.name


def test_the_students_file_is_not_changed(student, ranges):
    before = student.SerializeToString()
    write_qdq(student, ranges)
    assert student.SerializeToString() == before


def test_weights_of_seven_bits(student, ranges):
    model = write_qdq(student, ranges, reduce_range=True)
    weights = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith("weight.quantized")]
    assert len(weights) == 5 and all(np.abs(w.astype(int)).max() == 64 for w in weights)


def test_a_silenced_channel_keeps_its_value(build, frames, calibrate):
    weight = np.zeros((16, 3, 1, 1), np.float32)
    weight[:, 0] = 1.0
    weight[3] *= 1e-13
    model = build(
        [("Conv", ["input", "w", "b"], "c", {}), ("Relu", ["c"], "out", {})],
        {"w": weight, "b": np.full(16, 0.5, np.float32)},
        ["out"],
    )
    ranges = calibrate(model, frames, observer="minmax").ranges
    said = run(write_qdq(model, ranges), frames)[:, 3]
    np.testing.assert_allclose(said, 0.5, atol=0.02)


def test_an_upsampling_convolution_has_integer_weights_per_channel(build, frames, calibrate):
    rng = np.random.default_rng(0)
    model = build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", {"strides": [2, 2]}),
            ("Relu", ["c0"], "r0", {}),
            ("ConvTranspose", ["r0", "w1", "b1"], "out", {"strides": [2, 2]}),
        ],
        {
            "w0": rng.standard_normal((16, 3, 2, 2)).astype(np.float32),
            "b0": np.zeros(16, np.float32),
            "w1": (rng.standard_normal((16, 8, 2, 2)) * 4.0 ** np.arange(8)[:, None, None]).astype(np.float32),
            "b1": np.ones(8, np.float32),
        },
        ["out"],
    )
    ranges = calibrate(model, frames, observer="minmax").ranges
    written = write_qdq(model, ranges, reduce_range=SATURATES)
    scales = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    most = np.float32(REDUCED_MOST if SATURATES else INT8_MOST)
    expected = np.abs(numpy_helper.to_array(model.graph.initializer[2])).max(axis=(0, 2, 3)) / most
    np.testing.assert_array_equal(scales["out_node.weight.scale"], expected)
    exact, said = run(model, frames), run(written, frames)
    for channel in range(8):  # also the smallest, which a scale per tensor would round away
        error = np.abs(said[:, channel] - exact[:, channel]).mean()
        assert error < (0.04 if SATURATES else 0.02) * np.abs(exact[:, channel]).mean()
