"""Small graphs from ONNX's own text form."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.preflight.finding import Target
from edgekit.preflight.network import Network


@pytest.fixture
def model():
    """``model("(float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }", w=array)``: constants by keyword."""

    def make(text: str, opset: int = 17, **constants: np.ndarray) -> onnx.ModelProto:
        made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}, "mine": 1]>\ng {text}')
        for name, value in constants.items():
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return made

    return make


@pytest.fixture
def network(model):
    def make(text: str, opset: int = 17, **constants: np.ndarray) -> Network:
        return Network(model(text, opset, **constants))

    return make


@pytest.fixture
def target():
    def make(version: str = "6.2", name: str = "orin-nx-16gb", dla: bool = False) -> Target:
        return Target(find_board(name), find_jetpack(version), dla)

    return make


@pytest.fixture
def floats():
    """Constant weights of a shape; small, and not all equal."""

    def make(*shape: int) -> np.ndarray:
        return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)

    return make
