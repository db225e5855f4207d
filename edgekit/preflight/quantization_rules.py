"""Explicit Q/DQ: what TensorRT refuses, and where Q/DQ prevents fusion."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from edgekit.boards.table import numbers
from edgekit.graphs.read import attribute
from edgekit.preflight.finding import Finding, Target
from edgekit.preflight.network import QUANTIZERS, Network

HALF_OPSET = 19  # QuantizeLinear takes float16 from here on
LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


def zero_point(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Symmetric int8 only."""
    if node.op_type not in QUANTIZERS:
        return None
    change = (
        "quantize symmetrically to int8, zero-point 0 (edgekit's TensorRT files are; onnxruntime's U8 ones are not)"
    )
    point = node.input[2] if len(node.input) > 2 else ""
    stored = network.types.get(node.output[0] if node.op_type == "QuantizeLinear" else node.input[0])
    if not point and node.op_type == "QuantizeLinear" and not attribute(node, "output_dtype", 0):
        return Finding("zero-point", "error", "without a zero-point the type is uint8", change)
    if stored == "uint8" or network.types.get(point) == "uint8":
        return Finding("zero-point", "error", "quantizes to uint8; TensorRT takes int8", change)
    if point:
        value = network.value(point)
        if value is None and point not in network.folded:
            return Finding("zero-point", "error", "the zero-point is computed", change)
        if value is not None and np.any(value):
            return Finding(
                "zero-point", "error", f"the zero-point is {np.ravel(value)[np.flatnonzero(value)[0]]}", change
            )
    return None


def scales(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Constant scales: one for an activation, one per output channel for weights."""
    if node.op_type not in QUANTIZERS or len(node.input) < 2:
        return None
    if node.input[1] not in network.folded:
        return Finding("scale", "error", "the scale is computed; TensorRT wants a constant", "calibrate, and store it")
    if int(np.prod(network.shapes.get(node.input[1]) or (1,))) <= 1:
        return None
    if not network.is_folded(node):
        why = "an activation with one scale per channel; TensorRT takes one per tensor"
        return Finding("scale", "error", why, "calibrate activations per tensor")
    for reader in network.consumers.get(node.output[0], []):
        rank = len(network.shapes.get(node.input[0]) or (1, 1, 1, 1))
        axis = attribute(node, "axis", 1) % rank
        wanted = {"Conv": 0, "ConvTranspose": 1}.get(reader.op_type)
        if wanted is not None and reader.input[1] == node.output[0] and axis != wanted:
            why = f"weights of a {reader.op_type} quantized along axis {axis}"
            return Finding("scale", "error", why, f"quantize them along axis {wanted}")
    return None


def half(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """float16 into or out of Q/DQ exists from opset 19."""
    if node.op_type not in QUANTIZERS or network.opset >= HALF_OPSET:
        return None
    if "float16" in {network.types.get(name) for name in (node.input[0], *node.input[1:2], node.output[0])}:
        why = f"{node.op_type} of float16 in opset {network.opset}; it takes float16 from opset {HALF_OPSET} on"
        return Finding("half-qdq", "error", why, f"export at opset {HALF_OPSET}, or keep scales and types float32")
    return None


def mixed(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Integers scaled in float16 to become float32: Orin's TensorRT 10.16 does not build it, Thor's does.

    NVIDIA/TensorRT issue 4832; that every 10 before it is alike is assumed. The types differ by the node's
    ``output_dtype`` (opset 23), or by a Cast behind it.
    """
    if node.op_type != "DequantizeLinear" or len(node.input) < 2 or network.types.get(node.input[1]) != "float16":
        return None
    if target.board.sm != "8.7" or numbers(target.jetpack.tensorrt) < (10,) or network.is_folded(node):
        return None
    readers = network.consumers.get(node.output[0], [])
    casts = [reader for reader in readers if reader.op_type == "Cast"]
    made = [node.output[0], *(cast.output[0] for cast in casts)]
    if "float" not in {network.types.get(name) for name in made}:
        return None
    why = "a float16 scale makes a float32 tensor, which TensorRT does not compile for Orin (it does for Thor)"
    return Finding("mixed-qdq", "error", why, "give scales and activations one type")


def bias(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """An int32 bias behind a DequantizeLinear, as onnxruntime's quantizer writes it."""
    if node.op_type != "DequantizeLinear" or network.types.get(node.input[0]) != "int32":
        return None
    return Finding("bias", "error", "an int32 bias behind a DequantizeLinear", "keep biases float")


def pair(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """What is quantized is dequantized next: TensorRT has no other reader for int8."""
    if node.op_type != "QuantizeLinear":
        return None
    readers = network.consumers.get(node.output[0], [])
    strange = [reader.op_type for reader in readers if reader.op_type != "DequantizeLinear"]
    if strange or not readers or node.output[0] in network.outputs:
        who = strange[0] if strange else "the graph's output" if node.output[0] in network.outputs else "nothing"
        why = f"the quantized tensor goes to {who}"
        return Finding("pair", "error", why, "put a DequantizeLinear behind every QuantizeLinear")
    return None


# A DequantizeLinear moves behind these, and what follows still reads INT8.
_COMMUTE = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice")


def inputs(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """A layer runs in INT8 only if all it multiplies is quantized."""
    if node.op_type not in LAYERS or len(node.input) < 2:
        return None
    quantized = [network.is_quantized(network.source(name, _COMMUTE)) for name in node.input[:2]]
    if quantized[0] == quantized[1]:
        return None
    what = ("its input", "its weights")[quantized.index(False)]
    change = f"quantize {what} too, or neither: then it runs in FP16"
    return Finding("inputs", "slow", f"runs in float, for {what} is not quantized", change)


def outputs(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Q/DQ behind a layer whose result nothing computes with in INT8: one more step, and the result is rounded."""
    if node.op_type != "DequantizeLinear" or network.is_folded(node):
        return None
    made = network.producers.get(network.source(node.output[0]))
    if made is None or made.op_type not in (*LAYERS, *_FUSED):
        return None
    name = node.output[0]
    readers = network.consumers.get(name, [])
    if (not readers and name not in network.outputs) or any(_wants_int8(network, reader) for reader in readers):
        return None
    whither = readers[0].op_type if readers else "the graph's output"
    why = f"the output of {made.op_type} is quantized on its way to {whither}, which does not compute in INT8"
    return Finding("outputs", "slow", why, "quantize what INT8 layers read, not what they write: leave this Q/DQ out")


_FUSED = ("Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSwish", "BatchNormalization", "Add", "Sum")
_PASS_ON = (
    "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
    "Identity", "Slice", "Split", "Pad", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip


def _wants_int8(network: Network, reader: NodeProto) -> bool:
    """Whether a node computes in INT8, passes INT8 on to one that may, or is reported by ``between``."""
    if reader.op_type in (*LAYERS, "Add", *_BETWEEN):
        return True
    if reader.op_type not in _PASS_ON:
        return False
    behind = [node for name in reader.output for node in network.consumers.get(name, [])]
    return any(node.op_type == "QuantizeLinear" or _wants_int8(network, node) for node in behind)


_BETWEEN = ("Relu", "LeakyRelu", "Clip", "BatchNormalization", "Resize")


def between(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Q/DQ between a convolution and its ReLU, or before a Resize, keeps TensorRT from fusing."""
    if node.op_type not in _BETWEEN:
        return None
    if not network.is_quantized(node.input[0]):
        return None
    if node.op_type == "Resize":
        why = "Q/DQ before a Resize: it runs on its own, in another type than its neighbours"
        return Finding("placement", "slow", why, "put it behind: Resize → Q/DQ → Conv")
    source = network.producers.get(network.source(node.input[0]))
    if source is None or source.op_type not in ("Conv", "ConvTranspose", "BatchNormalization", "Add"):
        return None
    why = f"Q/DQ between {source.op_type} and {node.op_type}: they are not fused"
    return Finding("placement", "slow", why, f"put it behind the {node.op_type}")


def residual(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """On a residual Add only the identity branch is quantized; the other comes straight from its convolution."""
    if node.op_type != "Add":
        return None
    fresh = [name for name in node.input if network.is_quantized(name) and _made_for(network, name, node)]
    if not fresh or any(not network.is_quantized(name) for name in node.input):
        return None
    why = "both branches of the sum are quantized: it is not fused into the convolution"
    return Finding("placement", "slow", why, "quantize the identity branch alone")


def _made_for(network: Network, name: str, add: NodeProto) -> bool:
    """Whether a convolution makes this tensor for ``add`` alone."""
    source = network.source(name)
    made = network.producers.get(source)
    return made is not None and made.op_type in LAYERS and len(network.consumers.get(source, [])) == 1


def concat(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Quantized inputs of a Concat share one scale, or each is requantized."""
    if node.op_type != "Concat":
        return None
    makers = [network.producers[name] for name in node.input if network.is_quantized(name)]
    found = [network.value(made.input[1]) for made in makers]
    if len({float(np.ravel(value)[0]) for value in found if value is not None and value.size == 1}) < 2:
        return None
    return Finding("concat", "slow", "its inputs have different scales", "give them one scale, the largest")
