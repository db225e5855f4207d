"""The benchmark of ways to write Q/DQ: its networks are what their rows say, and two rows of the documentation hold."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit.compile.compiler import is_there


def operators(model: bytes) -> Counter:
    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)


def test_every_network_is_whole_and_computes(benchmark_module):
    """In float32, which onnxruntime has kernels for."""
    module = benchmark_module("qdq_ways")
    chain = module.Way(floats="float32")
    models = [module.chain(chain), module.chain(module.Way(floats="float32", stored=True, bias="add", last=False))]
    for model in models:
        onnx.checker.check_model(onnx.load_from_string(model))
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (answer,) = session.run(None, {"x": np.ones((1, 32, 56, 96), np.float32)})
        assert answer.shape == (1, 32, 56, 96) and np.ptp(answer) > 0
    for makers in module.AROUND.values():
        for make in makers:
            onnx.checker.check_model(onnx.load_from_string(make()))


def test_what_a_row_names_is_in_its_network(benchmark_module):
    module = benchmark_module("qdq_ways")
    usual = operators(module.chain(module.Way()))
    assert usual == {"Conv": 3, "Relu": 3, "QuantizeLinear": 7, "DequantizeLinear": 7}  # four of maps, three of weights
    assert operators(module.chain(module.Way(last=False)))["QuantizeLinear"] == 6
    assert operators(module.chain(module.Way(stored=True))) == usual - Counter(QuantizeLinear=3)
    assert operators(module.chain(module.Way(bias="add")))["Add"] == 3
    assert "Relu" not in operators(module.chain(module.Way(activation=None)))
    pairs = [operators(module.residual(word))["QuantizeLinear"] - 4 for word in ("shares", "own", "none")]
    assert pairs == [5, 6, 5] and operators(module.residual("own", both=True))["QuantizeLinear"] - 4 == 7
    assert operators(module.two_resized(2, False))["QuantizeLinear"] - 3 == 4


@pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")
@pytest.mark.parametrize(("per_channel", "writes"), [(True, "FP32"), (False, "FP16")])
def test_the_documentations_first_and_third_row(benchmark_module, per_channel, writes):
    module = benchmark_module("qdq_ways")
    compiled = module.compile_model(module.chain(module.Way(per_channel=per_channel)), "chain")
    assert module.row("way", [compiled]) == f"| way | 7 | 3 INT8 | {writes} |"
