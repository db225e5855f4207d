"""The parser: what TensorRT refuses of an ONNX file, each rule a function over the graph."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from .specification import ENUMS, VERSION, Specified

SHOWN: dict[str, type] = {}
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
QDQ = ("QuantizeLinear", "DequantizeLinear")
NOT_SUPPORTED = ("BitShift", "MaxUnpool", "Unique", "DeformConv", "StringNormalizer")


def newest_opset() -> int:
    """That the parser of this version reads."""
    major, minor = (int(part) for part in VERSION.split(".")[:2])
    return 17 if major == 8 else 20 if (major, minor) < (10, 15) else 24


class Graph:
    """An ONNX graph with its types, producers and consumers."""

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.nodes = list(model.graph.node)
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = [*inferred.value_info, *inferred.input, *inferred.output]
        self.types = {v.name: v.type.tensor_type.elem_type for v in values}
        self.constants = {i.name: i for i in model.graph.initializer}
        self.types.update({name: i.data_type for name, i in self.constants.items()})
        self.producer = {name: n for n in self.nodes for name in n.output}
        self.inputs = [i for i in model.graph.input if i.name not in self.constants]
        self.outputs = list(model.graph.output)

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        return [n for n in self.nodes if name in n.input]


def refusals(graph: Graph) -> list[tuple[str, int, str]]:
    """(error code, index of the node, what is wrong)."""
    if graph.opset > newest_opset():
        return [("UNSUPPORTED_NODE", 0, f"opset {graph.opset} is newer than {newest_opset()}")]
    found = []
    for index, node in enumerate(graph.nodes):
        for rule in (_supported, _uint8, _half_quantization, _symmetric, _bias):
            reason = rule(graph, node)
            if reason:
                code = "UNSUPPORTED_NODE" if rule is _supported else "INVALID_NODE"
                found.append((code, index, reason))
    return found


def _supported(graph: Graph, node: onnx.NodeProto) -> str | None:
    known = node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type) and node.op_type not in NOT_SUPPORTED
    return None if known else f"no importer registered for op: {node.op_type}"


def _uint8(graph: Graph, node: onnx.NodeProto) -> str | None:
    reads = [name for name in node.input if graph.types.get(name) == TensorProto.UINT8]
    writes = [name for name in node.output if graph.types.get(name) == TensorProto.UINT8]
    if node.op_type == "Cast":
        other = graph.types.get(node.output[0] if reads else node.input[0])
        if (reads or writes) and other not in FLOATS:
            return "UINT8 is cast from and to float and half alone"
        return None
    if reads or writes:
        return f"UINT8 must be next to a Cast, not to {node.op_type}"
    return None


def _half_quantization(graph: Graph, node: onnx.NodeProto) -> str | None:
    if node.op_type in QDQ and graph.opset < 19:
        types = [graph.types.get(name) for name in (*node.input, *node.output)]
        if TensorProto.FLOAT16 in types:
            return f"{node.op_type} takes float16 from opset 19, this is {graph.opset}"
    return None


def _symmetric(graph: Graph, node: onnx.NodeProto) -> str | None:
    if node.op_type in QDQ and len(node.input) > 2 and node.input[2]:
        zero = graph.constants.get(node.input[2])
        if zero is None or zero.data_type != TensorProto.INT8 or np.any(numpy_helper.to_array(zero)):
            return "quantization must be symmetric int8, with zero-point 0"
    return None


def _bias(graph: Graph, node: onnx.NodeProto) -> str | None:
    if node.op_type in ("Conv", "ConvTranspose", "Gemm") and len(node.input) > 2:
        made = graph.producer.get(node.input[2])
        if made is not None and made.op_type == "DequantizeLinear":
            return "a bias behind a DequantizeLinear is not supported"
    return None


class Layer(Specified):
    def __init__(self, node: onnx.NodeProto):
        self.name = node.name or node.output[0]
        self._node = node


class Network(Specified):
    def __init__(self, flags: int):
        typed = ENUMS["NetworkDefinitionCreationFlag"].__members__.get("STRONGLY_TYPED")
        self._strong = VERSION.startswith("11.") or (typed is not None and bool(flags >> int(typed) & 1))
        batch = ENUMS["NetworkDefinitionCreationFlag"].__members__.get("EXPLICIT_BATCH")
        self._implicit = VERSION.startswith("8.") and not flags >> int(batch) & 1
        self._graph: Graph | None = None

    @property
    def num_layers(self) -> int:
        return len(self._graph.nodes)

    def get_layer(self, index: int) -> Layer:
        return SHOWN["ILayer"](self._graph.nodes[index])


class Error(Specified):
    def __init__(self, code: str, index: int, text: str, node: onnx.NodeProto | None):
        self._code, self._index, self._text, self._node = code, index, text, node

    def code(self):
        return ENUMS["ErrorCode"][self._code]

    def desc(self) -> str:
        return self._text

    def node(self) -> int:
        return self._index

    def node_name(self) -> str:
        return self._node.name if self._node is not None else ""

    def node_operator(self) -> str:
        return self._node.op_type if self._node is not None else ""


class Parser(Specified):
    def __init__(self, network: Network, logger):
        self._network, self._logger, self._errors = network, logger, []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Error:
        return self._errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        if self._network._implicit:
            self._add("INVALID_VALUE", -1, "this version of the parser only supports explicit batch networks", None)
            return False
        try:
            proto = onnx.load_from_string(bytes(model))
            if not proto.graph.node:
                raise ValueError
            graph = Graph(proto)
        except Exception:
            self._add("MODEL_DESERIALIZE_FAILED", -1, "Failed to parse ONNX model from string", None)
            return False
        for code, index, text in refusals(graph):
            self._add(code, index, text, graph.nodes[index])
        self._network._graph = graph
        return not self._errors

    def _add(self, code: str, index: int, text: str, node) -> None:
        self._errors.append(SHOWN["ParserError"](code, index, text, node))
        self._logger.log(SEVERITY.ERROR, f"ModelImporter: {text}")


SEVERITY = None  # set by ``running``, which has the logger
