"""What TensorRT refuses, one test a rule: the fake must refuse it, and edgekit must say what and where."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import Profile
from edgekit.engine import build as build_module
from edgekit.engine.build import BuildOptions, _Builds
from edgekit.engine.capabilities import Capabilities
from edgekit.engine.worker import run_build
from edgekit.errors import EdgekitError


def job_for(folder, work, lane, precision, /, **changes):
    """The job of an artifact, to be changed into what edgekit itself would not ask for."""
    bundle = open_bundle(folder)
    can = Capabilities("10.3.0", True, True, True, True, 2, "gpu", "8.7", "12.6", "12.6", 8 << 30)
    options = {name: changes.pop(name) for name in list(changes) if hasattr(BuildOptions, name) and name != "precision"}
    options = BuildOptions(timing_cache=work / "timing", **options)
    job = _Builds(bundle, options, None, can, None).job(bundle.artifact(lane, precision), work)
    cache = changes.pop("cache", job.cache)
    return dataclasses.replace(job, cache=cache, artifact=dataclasses.replace(job.artifact, **changes))


@pytest.fixture
def refused(jetson, jetson_bundle, tensorrt, tmp_path):
    """Build one artifact, after a change to its graph; the text of the error."""

    def run(lane, precision, /, change=None, file=None, **changes) -> str:
        if change is not None:
            jetson.change_graph(jetson_bundle, file, change)
        with pytest.raises(EdgekitError) as raised:
            run_build(job_for(jetson_bundle, tmp_path, lane, precision, **changes), lambda event: None)
        assert raised.value.fix
        assert not (tmp_path / "plan").exists()
        return str(raised.value)

    return run


def find(model, operator):
    return next(n for n in model.graph.node if n.op_type == operator)


def test_uint8_that_does_not_feed_a_cast(refused):
    def transpose_first(model):
        cast, transpose = find(model, "Cast"), find(model, "Transpose")
        transpose.input[0], transpose.output[0] = "frames", "moved"
        cast.input[0], cast.output[0] = "moved", "planes"
        model.graph.node.remove(transpose)
        model.graph.node.insert(0, transpose)

    said = refused("weak", "fp32", transpose_first, "weak.onnx")
    assert "node 0 'Transpose_1' (Transpose): UINT8 must be next to a Cast, not to Transpose" in said


def test_uint8_that_is_cast_to_an_integer(refused):
    def to_integer(model):
        node = next(n for n in model.graph.node if n.op_type == "Cast" and n.output[0] == "semantic_classes")
        index = next(n for n in model.graph.node if n.output[0] == "index_float")
        index.attribute[0].i = TensorProto.INT64
        assert node.op_type == "Cast"

    assert "UINT8 is cast from and to float and half alone" in refused("weak", "fp32", to_integer, "weak.onnx")


def test_a_half_quantization_below_opset_19(refused):
    def older(model):
        model.opset_import[0].version = 18

    said = refused("strong", "int8", older, "strong-int8.onnx")
    assert "QuantizeLinear takes float16 from opset 19, this is 18" in said and "'quantize'" in said


def test_a_zero_point_that_is_not_zero(refused):
    def shift(model):
        zero = next(i for i in model.graph.initializer if i.name == "q_zero")
        zero.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), "q_zero"))

    assert "zero-point 0" in refused("weak", "int8", shift, "weak-int8.onnx")


def test_an_integer_bias_behind_a_dequantize(refused):
    def bias(model):
        graph = model.graph
        graph.initializer.append(numpy_helper.from_array(np.array([1], np.int32), "bias_q"))
        graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "bias_scale"))
        graph.node.insert(0, helper.make_node("DequantizeLinear", ["bias_q", "bias_scale"], ["bias_dq"], name="b"))
        find(model, "Conv").input[2] = "bias_dq"

    assert "a bias behind a DequantizeLinear" in refused("weak", "fp32", bias, "weak.onnx")


def test_an_opset_newer_than_the_parser(refused, tensorrt):
    tensorrt("8.6.1")

    def newer(model):
        model.opset_import[0].version = 18

    assert "opset 18 is newer than 17" in refused("cache", "fp32", newer, "body.onnx")


@pytest.mark.parametrize(("version", "node"), [("8.6.1", "node "), ("10.3.0", "'decoder/shift' (BitShift)")])
def test_an_unknown_operator_is_named(refused, tensorrt, version, node):
    tensorrt(version)  # the parser of TensorRT 8 gives the node's number alone

    def unknown(model):
        node = find(model, "AveragePool")
        node.op_type, node.name, node.domain = "BitShift", "decoder/shift", ""

    said = refused("weak", "fp32", unknown, "weak.onnx")
    assert node in said and "no importer registered for op: BitShift [UNSUPPORTED_NODE]" in said


def test_a_file_that_is_no_network(jetson_bundle, tensorrt, tmp_path, jetson):
    (jetson_bundle / "weak.onnx").write_bytes(b"not a network")
    jetson.change_manifest(jetson_bundle, lambda m: jetson._rehashed(m, jetson_bundle, "weak.onnx"))
    with pytest.raises(EdgekitError, match="the graph has a field of the wire type"):
        run_build(job_for(jetson_bundle, tmp_path, "weak", "fp32"), lambda event: None)


def test_precision_flags_on_a_strongly_typed_network(refused, monkeypatch):
    from edgekit.engine import configure

    monkeypatch.setattr(configure, "_precision", lambda trt, config, job: config.set_flag(trt.BuilderFlag.FP16))
    assert "precision flags (FP16) are not allowed on a strongly typed network" in refused("strong", "fp16")


def test_a_cache_of_another_version(refused):
    said = refused("cache", "int8", cache=b"TRT-8601-EntropyCalibration2\ninput: 3c010204\n")
    assert "did not take the calibration cache and asked for frames" in said


def test_int8_without_ranges(refused):
    assert "no calibrator and no dynamic ranges" in refused("cache", "int8", cache=None)


def test_quantized_weakly_typed_networks_need_the_flag(refused):
    assert "builder flag INT8 is not set" in refused("weak", "int8", precision="fp16")


def test_a_dynamic_input_needs_a_profile(tiny, jetson, tiny_bundle, tensorrt, tmp_path):
    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)
    with pytest.raises(EdgekitError, match="no optimization profile has been defined"):
        run_build(job_for(folder, tmp_path, "weak", "fp16", profile=None), lambda event: None)
    with pytest.raises(EdgekitError, match="does not take the profile"):
        shapes = Profile((2, 64, 96, 3), (1, 64, 96, 3), (4, 64, 96, 3))
        run_build(job_for(folder, tmp_path, "weak", "fp16", profile=shapes), lambda event: None)


def test_dla_without_fallback_names_what_it_cannot_do(refused):
    said = refused("weak", "fp16", dla_core=0)
    assert "21 of 28 layers cannot run on the DLA: Cast_0, Transpose_1" in said and "--gpu-fallback" in said


def test_dla_in_fp32(refused):
    assert "DLA requires FP16 or INT8" in refused("cache", "fp32", dla_core=0)


def test_calibrating_with_a_profile_needs_a_calibration_profile(tiny, jetson, tiny_bundle, tensorrt, tmp_path):
    """edgekit sets it; a configuration that does not is refused."""
    from edgekit.engine import configure

    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)
    result = run_build(job_for(folder, tmp_path, "cache", "int8"), lambda event: None)
    assert result["calibration"]["source"] == "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configure.BuildJob, "calibrates", property(lambda self: False))
        with pytest.raises(EdgekitError, match="calibration profile is not set"):
            run_build(job_for(folder, tmp_path, "cache", "int8"), lambda event: None)


@pytest.mark.parametrize(
    ("version", "attribute"),
    [("8.6.1", "IProgressMonitor"), ("11.4.0.106", "IInt8EntropyCalibrator2"), ("11.4.0.106", "NoSuchThing")],
)
def test_the_fake_lacks_what_the_real_one_lacks(tensorrt, version, attribute):
    tensorrt(version)
    import tensorrt as trt

    with pytest.raises(AttributeError):
        getattr(trt, attribute)


def test_the_fake_takes_the_real_ones_arguments_and_no_others(tensorrt):
    import tensorrt as trt

    from edgekit.runtime.tensorrt.log import tensorrt_logger

    builder = trt.Builder(tensorrt_logger(trt))
    config = builder.create_builder_config()
    with pytest.raises(TypeError, match="set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, bytes=1)
    with pytest.raises(AttributeError):
        config.max_workspace_size = 1 << 20  # of TensorRT 8
    with pytest.raises(AttributeError):
        builder.num_DLA_cores = 3
    with pytest.raises(TypeError, match="must be called when overriding"):
        type("Careless", (trt.ILogger,), {"__init__": lambda self: None, "log": print})
        trt.Builder(type("Careless", (trt.ILogger,), {"__init__": lambda self: None})())
    assert build_module.UNRUN
