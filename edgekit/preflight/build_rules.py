"""What TensorRT refuses or does badly, besides unknown operators: types, uint8, pools, resizes, control flow."""

from __future__ import annotations

from onnx import NodeProto

from edgekit.boards.table import numbers
from edgekit.graphs.read import attribute
from edgekit.preflight.finding import Finding, Target
from edgekit.preflight.network import QUANTIZERS, Network
from edgekit.preflight.subgraphs import CONTROL_FLOW

_TAKEN = {"float", "float16", "int8", "int32", "int64", "bool", "uint8", "double", "undefined"}
_FLOATS = ("float", "float16")
_RESIZE_COORDINATES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
_NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def types(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Tensors of a type that TensorRT does not have."""
    for name in (*node.input, *node.output):
        kind = network.types.get(name, "undefined")
        if kind == "bfloat16" and numbers(target.jetpack.tensorrt) >= (10, 0):
            continue
        if kind not in _TAKEN and not (node.op_type in QUANTIZERS and kind in ("uint8", "int8")):
            why = f"'{name}' is {kind}, which TensorRT {target.jetpack.tensorrt} does not have"
            return Finding("type", "error", why, "cast it to float, float16, int32 or int64 where it is made")
    if not network.is_folded(node) and any(network.types.get(name) == "double" for name in node.output):
        why = "double is computed as float, and values beyond its range are clamped"
        return Finding("double", "slow", why, "export the model in float32")
    return None


def uint8(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """uint8 is only a type of the engine's inputs and outputs, next to a Cast from or to float."""
    if node.op_type in QUANTIZERS or network.is_folded(node):
        return None
    reads = [n for n in node.input if network.types.get(n) == "uint8"]
    makes = [n for n in node.output if network.types.get(n) == "uint8"]
    if not reads and not makes:
        return None
    if node.op_type != "Cast":
        side = f"reads the uint8 tensor '{reads[0]}'" if reads else f"makes the uint8 tensor '{makes[0]}'"
        change = "cast first and then do the rest: Cast → Transpose on the way in, … → Cast on the way out"
        return Finding("uint8", "error", f"{node.op_type} {side}; only a Cast may", change)
    if reads and network.types.get(node.output[0]) not in _FLOATS:
        why = f"casts uint8 to {network.types.get(node.output[0])}; TensorRT casts it to float or float16 only"
        return Finding("uint8", "error", why, "cast to float, and from there on")
    if reads and reads[0] not in network.inputs:
        why = f"'{reads[0]}' is uint8 inside the graph; TensorRT has uint8 inputs and outputs only"
        return Finding("uint8", "error", why, "keep it float inside the graph")
    if makes and network.types.get(node.input[0]) not in _FLOATS:
        why = f"casts {network.types.get(node.input[0])} to uint8; TensorRT casts float or float16 to it only"
        return Finding("uint8", "error", why, "cast to float first: ArgMax → Cast float → Cast uint8")
    if makes and makes[0] not in network.outputs:
        why = f"'{makes[0]}' is uint8 inside the graph; TensorRT has uint8 inputs and outputs only"
        return Finding("uint8", "error", why, "keep it float inside the graph, and cast last")
    return None


def pooling(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Pools of one to three dimensions, without dilation, without indices."""
    if node.op_type not in ("MaxPool", "AveragePool", "LpPool"):
        return None
    if node.op_type == "MaxPool" and len(node.output) > 1 and node.output[1]:
        why = "the indices of a MaxPool are read; TensorRT does not give them"
        return Finding("pooling", "error", why, "upsample with Resize or ConvTranspose in place of MaxUnpool")
    if len(attribute(node, "kernel_shape", [])) not in (1, 2, 3):  # the parser gives one dimension a second
        return Finding("pooling", "error", "TensorRT pools up to three dimensions", "reshape to two dimensions")
    if any(step != 1 for step in attribute(node, "dilations", [])):
        return Finding("pooling", "error", "TensorRT has no dilated pooling", "use a larger window, or a dilated Conv")
    return None


def resize(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Modes of Resize that TensorRT has. The table of 10.15 lists no cubic; its parser takes it."""
    if node.op_type not in ("Resize", "Upsample"):
        return None

    def text(name: str, default: str) -> str:
        return attribute(node, name, default.encode()).decode()

    mode = text("mode", "nearest")
    modes = ("nearest", "linear", "bilinear", *(["cubic"] if numbers(target.jetpack.tensorrt) >= (10,) else []))
    if mode not in modes:
        return Finding("resize", "error", f"TensorRT does not resize {mode}", "use linear, or nearest")
    coordinates = text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in _RESIZE_COORDINATES:
        why = f"TensorRT does not know the coordinates {coordinates}"
        return Finding("resize", "error", why, "use half_pixel (align_corners=False)")
    if mode == "nearest" and text("nearest_mode", "round_prefer_floor") not in _NEAREST:
        why = f"TensorRT does not round {text('nearest_mode', '')}"
        return Finding("resize", "error", why, "use floor with asymmetric coordinates")
    if attribute(node, "antialias", 0):
        return Finding("resize", "error", "TensorRT does not antialias", "resize without, or with an average pool")
    policy = text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        return Finding("resize", "error", f"TensorRT does not keep the aspect ratio ({policy})", "say the size itself")
    place = 1 if node.op_type == "Upsample" or network.opset < 11 else 2
    scales = node.input[place] if len(node.input) > place else ""
    if scales and network.source(scales, ("Identity",)) in network.inputs:
        return Finding("resize", "error", "the scales are an input of the graph", "make them a constant")
    return None


def subgraph(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """Control flow. ``lint`` looks at the nodes of its subgraphs too."""
    if node.op_type not in CONTROL_FLOW:
        return None
    why = f"{node.op_type} runs a subgraph, which is not fused with the nodes around it"
    return Finding("control-flow", "slow", why, "export the network without data-dependent control flow")
