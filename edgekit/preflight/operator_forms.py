"""Forms of single operators that TensorRT's parser refuses, though it knows the operator.

Sources: docs/operators.md, docs/Changelog.md and the checks of onnx-tensorrt, releases 8.5 and 10.15, and what TensorRT
for RTX 1.7.1 said of onnx's own test models (``benchmarks/lint_truth.py``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from edgekit.boards.table import numbers
from edgekit.graphs.read import attribute
from edgekit.preflight.finding import Finding, Target
from edgekit.preflight.network import Network

BROADCAST_OPSET = 7  # from here on shapes are broadcast as numpy does
_BROADCASTING = "Add And Div Equal Gemm Greater Less Max Mean Min Mul Or Pow PRelu Sub Sum Xor"
_BROADCASTS = frozenset(_BROADCASTING.split())
_MOST_OUTPUTS = {"LayerNormalization": 1, "BatchNormalization": 1, "Attention": 1}
_TOPK_COMPUTED = (8, 6)
_SCATTER_REDUCES = (10,)


def form(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """The first thing about this form of the operator that the parser refuses."""
    if network.is_folded(node):
        return None
    said = _before_broadcasting(network, node) or _more_outputs(node)
    look = _FORMS.get(node.op_type)
    said = said or (look(network, node) if look else None) or _scatter_elements(node, target)
    return Finding("form", "error", *said) if said else None


def constant_inputs(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Inputs that must be known while TensorRT builds, or, for some operators, stored in the graph as they are."""
    if network.is_folded(node):
        return None
    for place, name in _CONSTANT_INPUTS.get(node.op_type, {}).items():
        given = node.input[place] if len(node.input) > place else ""
        stored = node.op_type in _STORED
        if not given or (given in network.folded and not stored):
            continue
        if stored and network.value(network.source(given, ("Identity", "Cast"))) is not None:
            continue
        if node.op_type == "TopK" and numbers(target.jetpack.tensorrt) >= _TOPK_COMPUTED:
            continue
        why = f"{name} of {node.op_type} is computed; TensorRT wants it {'stored' if stored else 'while it builds'}"
        return Finding("constant-input", "error", why, f"make {name} a constant of the graph")
    return None


_REDUCED = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_REDUCTIONS = frozenset(f"Reduce{name}" for name in _REDUCED)
_STORED = _REDUCTIONS | {"STFT"}
_CONSTANT_INPUTS = {
    "CumSum": {1: "axis"},
    "TopK": {1: "K"},
    "OneHot": {1: "depth"},
    "Squeeze": {1: "axes"},
    "Unsqueeze": {1: "axes"},
    "STFT": {1: "frame_step", 2: "window"},
    **{op: {1: "axes"} for op in sorted(_REDUCTIONS)},
}

Said = tuple[str, str] | None
"""(what is wrong, what to change)"""


def _before_broadcasting(network: Network, node: NodeProto) -> Said:
    if network.opset >= BROADCAST_OPSET or node.op_type not in _BROADCASTS:
        return None
    shapes = [network.shapes.get(name) for name in node.input]
    if node.op_type == "PRelu" and None not in shapes and shapes[0] == shapes[1]:
        return None  # of all of them the parser takes this one where nothing is broadcast
    why = f"{node.op_type} of opset {network.opset} broadcasts as ONNX did before opset {BROADCAST_OPSET}"
    return why, "export the graph at opset 17"


def _more_outputs(node: NodeProto) -> Said:
    most = _MOST_OUTPUTS.get(node.op_type)
    if most is None or not any(node.output[most:]):
        return None
    return f"{node.op_type} has more than its first output; TensorRT gives only that", "compute the others with nodes"


def _batch_normalization(network: Network, node: NodeProto) -> Said:
    if not attribute(node, "training_mode", 0):
        return None
    return "BatchNormalization in training mode", "export the network after .eval()"


def _dropout(network: Network, node: NodeProto) -> Said:
    training = node.input[2] if len(node.input) > 2 else ""
    value = network.value(training) if training else np.zeros(1)
    if value is not None and not np.any(value):
        return None
    return "Dropout in training mode, or in one that is computed", "export the network after .eval()"


def _attention(network: Network, node: NodeProto) -> Said:
    if attribute(node, "softcap", 0.0):
        return "Attention with softcap", "leave softcap out, or write Attention as MatMul, Softmax, MatMul"
    if attribute(node, "softmax_precision") is not None:
        return "Attention with softmax_precision", "leave it out: the type of the inputs decides"
    given = [*node.input, *[""] * 7]
    if attribute(node, "is_causal", 0) and given[3]:
        return "Attention that is causal and has a mask", "write the causal triangle into the mask"
    if any(given[4:6]):
        return "Attention with past keys and values", "concatenate them before it"
    keys, values, mask = (network.shape(name) for name in (given[1], given[2], given[3]))
    if keys and values and len(keys) == len(values) and len(keys) in (3, 4) and keys[-1] != values[-1]:
        return f"Attention with keys of {keys[-1]} and values of {values[-1]}", "give them one size"
    if keys and mask and len(keys) == 4 and mask[-1] not in (1, keys[2]):
        return f"Attention of {keys[2]} keys with a mask for {mask[-1]}", "give the mask a column per key"
    return None


def _random(network: Network, node: NodeProto) -> Said:
    kind = network.types.get(node.output[0])
    if kind in (None, "float", "float16"):
        return None
    return f"{node.op_type} of {kind}", "draw float, and cast"


def _clip(network: Network, node: NodeProto) -> Said:
    kind = network.types.get(node.input[0])
    if kind not in ("int8", "uint8"):
        return None
    return f"Clip of {kind}", "clip floats, before they are quantized"


def _lp(network: Network, node: NodeProto) -> Said:
    p = attribute(node, "p", 2)
    return None if p in (1, 2) else (f"{node.op_type} with p = {p}; TensorRT has 1 and 2", "use p of 1 or 2")


def _matmul(network: Network, node: NodeProto) -> Said:
    a, b = (network.shapes.get(name) for name in node.input[:2])
    if a is None or b is None or len(a) != 1 or len(b) < 3:
        return None
    return f"MatMul of a vector by {len(b)} dimensions", "unsqueeze the vector, and squeeze the result"


def _split(network: Network, node: NodeProto) -> Said:
    parts, shape = attribute(node, "num_outputs"), network.shapes.get(node.input[0])
    size = shape[attribute(node, "axis", 0)] if shape else None
    if not parts or not isinstance(size, int) or -(-size // parts) * (parts - 1) <= size:
        return None
    return f"Split of {size} into {parts} parts leaves less than nothing for the last", "say the sizes of the parts"


def _tensor_scatter(network: Network, node: NodeProto) -> Said:
    cache = network.shapes.get(node.input[0])
    if cache is not None and len(cache) != 4:
        return f"TensorScatter of {len(cache)} dimensions; TensorRT has it of 4", "unsqueeze the cache to 4 dimensions"
    mode = attribute(node, "mode", b"linear").decode()
    return None if mode == "linear" else (f"TensorScatter in {mode} mode", "use linear")


def _scatter_nd(network: Network, node: NodeProto) -> Said:
    how = attribute(node, "reduction", b"none").decode()
    return (
        None if how == "none" else (f"ScatterND with the reduction {how}", "scatter to zeros, and reduce with a node")
    )


def _scatter_elements(node: NodeProto, target: Target) -> Said:
    if node.op_type != "ScatterElements" or numbers(target.jetpack.tensorrt) >= _SCATTER_REDUCES:
        return None
    how = attribute(node, "reduction", b"none").decode()
    return None if how == "none" else (f"ScatterElements with the reduction {how}", "TensorRT 10 has it")


_FORMS: dict[str, Callable[[Network, NodeProto], Said]] = {
    "Attention": _attention,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Dropout": _dropout,
    "LpNormalization": _lp,
    "LpPool": _lp,
    "MatMul": _matmul,
    "RandomNormal": _random,
    "RandomNormalLike": _random,
    "RandomUniform": _random,
    "RandomUniformLike": _random,
    "ScatterND": _scatter_nd,
    "Split": _split,
    "TensorScatter": _tensor_scatter,
}
