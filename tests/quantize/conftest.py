"""Small networks in ONNX, built node by node, and frames for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.quantize.calibration import Calibration, calibrations
from edgekit.quantize.observers import OBSERVERS, Observer

Layer = tuple[str, Sequence[str], str, dict]


@pytest.fixture(scope="session")
def build() -> Callable[..., onnx.ModelProto]:
    """``build(nodes, weights, outputs, shape=…)`` → a checked model of opset 17 with one input, ``input``.

    A node is (operator, inputs, output, attributes) and is named ``<output>_node``.
    """

    def build(
        nodes: Sequence[Layer],
        weights: dict[str, np.ndarray],
        outputs: Sequence[str],
        *,
        shape: Sequence[int | str] = (1, 3, 12, 16),
        opset: int = 17,
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            [helper.make_node(op, i, [o], name=f"{o}_node", **attributes) for op, i, o, attributes in nodes],
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model

    return build


@pytest.fixture(scope="session")
def student(build) -> onnx.ModelProto:
    """The shape of a student: stem, a branch at half resolution, Resize, skip by Add, Concat, 1×1 head."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))).astype(np.float32)

    three = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    half = {**three, "strides": [2, 2]}
    up = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return build(
        [
            ("Conv", ["input", "w0", "b0"], "c0", half),
            ("Relu", ["c0"], "r0", {}),
            ("Conv", ["r0", "w1", "b1"], "c1", half),
            ("Relu", ["c1"], "r1", {}),
            ("Conv", ["r1", "w2", "b2"], "c2", {"kernel_shape": [1, 1]}),
            ("Resize", ["c2", "", "scales"], "up", up),
            ("Add", ["r0", "up"], "sum", {}),
            ("Conv", ["sum", "w3", "b3"], "c3", three),
            ("Relu", ["c3"], "r3", {}),
            ("Concat", ["r3", "r0"], "both", {"axis": 1}),
            ("Conv", ["both", "w4", "b4"], "logits", {"kernel_shape": [1, 1]}),
        ],
        {
            "w0": weight(16, 3, 3, 3),
            "b0": weight(16),
            "w1": weight(32, 16, 3, 3),
            "b1": weight(32),
            "w2": weight(16, 32, 1, 1),
            "b2": weight(16),
            "w3": weight(16, 16, 3, 3),
            "b3": weight(16),
            "w4": weight(8, 32, 1, 1),
            "b4": weight(8),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
        ["logits"],
    )


@pytest.fixture(scope="session")
def frames() -> Callable[[], Iterable[np.ndarray]]:
    """Eight frames of (1, 3, 12, 16), the same at every call."""

    def frames() -> Iterable[np.ndarray]:
        rng = np.random.default_rng(7)
        for _ in range(8):
            yield rng.standard_normal((1, 3, 12, 16)).astype(np.float32)

    return frames


@pytest.fixture(scope="session")
def calibrate() -> Callable[..., Calibration]:
    """``calibrations`` by one observer: a name of ``OBSERVERS``, or one built with its settings."""

    def calibrate(model: onnx.ModelProto, frames, observer: str | Observer = "entropy", **more) -> Calibration:
        name = observer if isinstance(observer, str) else type(observer).__name__.lower()
        built = OBSERVERS[observer]() if isinstance(observer, str) else observer
        return calibrations(model, frames, {name: built}, **more)[name]

    return calibrate
