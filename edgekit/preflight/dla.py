"""What a DLA core takes, one function per limit.

NVIDIA's "DLA Supported Layers and Restrictions". An operator that is in no row below runs on the GPU, as does a node
that breaks a limit: it *falls back*. Each function returns (why, what to change), or None where the node is fine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnx import NodeProto

from edgekit.graphs.read import attribute
from edgekit.graphs.thin import by
from edgekit.preflight.network import QUANTIZERS, Network

Reason = tuple[str, str]
Limit = Callable[[Network, NodeProto], "Reason | None"]

MOST_LOADABLES = 16
"""Pieces of networks (loadables) that one DLA core holds at once."""
_MOST_SIDE = 8192
_MOST_BATCH = 4096
_CAST = "cast on the GPU, before and after the DLA (edgekit's logits.onnx has no casts)"


def static_shapes(network: Network, node: NodeProto) -> Reason | None:
    for name in (*node.input, *node.output):
        if name and name not in network.folded and network.shape(name) is None:
            return f"the shape of '{name}' is open; DLA wants it fixed", "export at one size and batch, or give --size"
    return None


def sides(network: Network, node: NodeProto) -> Reason | None:
    for name in (*node.input, *node.output):
        shape = network.shape(name) if name and name not in network.folded else None
        if shape and (shape[0] > _MOST_BATCH or max(shape[1:], default=0) > _MOST_SIDE):
            return f"'{name}' is {shape}: at most {_MOST_BATCH} frames, sides of {_MOST_SIDE}", "use smaller frames"
    return None


def float_types(network: Network, node: NodeProto) -> Reason | None:
    for name in (*node.input, *node.output):
        kind = network.types.get(name, "float")
        if name and name not in network.folded and kind not in ("float", "float16", "int8"):
            return f"'{name}' is {kind}; DLA computes in FP16 and INT8", _CAST
    return None


def two_dimensional(network: Network, node: NodeProto) -> Reason | None:
    shape = network.shapes.get(node.input[0])
    if shape is not None and len(shape) != 4:
        return f"its input has {len(shape)} dimensions; DLA takes N×C×H×W", "keep maps four-dimensional"
    return None


def _within(name: str, what: str, least: int, most: int, change: str) -> Limit:
    """Every entry of the attribute ``name`` is ``least`` to ``most``, where it is stated."""

    def limit(network: Network, node: NodeProto) -> Reason | None:
        stated = attribute(node, name, [])
        if all(least <= side <= most for side in stated):
            return None
        return f"{what} of {by(stated)}; DLA takes {least} to {most}", change

    return limit


def _constant(what: str, change: str) -> Limit:
    """The second input is a constant."""

    def limit(network: Network, node: NodeProto) -> Reason | None:
        return None if node.input[1] in network.folded else (f"{what}; DLA wants constants", change)

    return limit


constant_weights = _constant("its weights are computed", "use weights that training has fixed")
constant_slope = _constant("its slope is computed", "use LeakyRelu")
conv_stride = _within("strides", "a stride", 1, 8, "use several layers of smaller strides")
conv_dilation = _within("dilations", "a dilation", 1, 32, "dilate less")
pool_window = _within("kernel_shape", "a window", 1, 8, "pool in steps")
pool_stride = _within("strides", "a stride", 1, 16, "pool in steps")
pool_padding = _within("pads", "a padding", 0, 7, "pad less")


def conv_kernel(network: Network, node: NodeProto) -> Reason | None:
    kernel = _kernel(network, node)
    if any(not 1 <= side <= 32 for side in kernel):
        return f"a kernel of {by(kernel)}; DLA takes 1 to 32", "use smaller kernels"
    return None


def conv_padding(network: Network, node: NodeProto) -> Reason | None:
    """The size of a dilated kernel is the span it covers."""
    pads, kernel = _pads(node), _spanned(network, node)
    if any(not 0 <= side <= 31 for side in pads):
        return f"a padding of {by(pads)}; DLA takes 0 to 31", "use a smaller dilation or kernel"
    if any(pad >= side for pad, side in zip(pads, (*kernel, *kernel), strict=False)):
        return (
            f"a padding of {by(pads)}, not smaller than the kernel of {by(kernel)}",
            "pad less than the kernel",
        )
    return None


def conv_outputs(network: Network, node: NodeProto) -> Reason | None:
    shape = network.shapes.get(node.output[0])
    if shape is not None and len(shape) > 1 and isinstance(shape[1], int) and shape[1] > 8192:
        return f"{shape[1]} output maps; DLA takes 8192", "use fewer channels"
    return None


def deconv_padding(network: Network, node: NodeProto) -> Reason | None:
    extra = any(attribute(node, "output_padding", [])) or attribute(node, "output_shape") is not None
    if any(_pads(node)) or extra:
        return "a transposed convolution with padding; DLA takes none", "use kernel = stride (2×2, stride 2), or Resize"
    return None


def deconv_groups(network: Network, node: NodeProto) -> Reason | None:
    if attribute(node, "group", 1) != 1:
        return "a transposed convolution in groups; DLA takes one group", "use Resize and a grouped Conv"
    return None


def deconv_dilation(network: Network, node: NodeProto) -> Reason | None:
    if any(step != 1 for step in attribute(node, "dilations", [1])):
        return "a transposed convolution with dilation; DLA takes none", "leave the dilation out"
    return None


def concat_channels(network: Network, node: NodeProto) -> Reason | None:
    rank = len(network.shapes.get(node.output[0]) or (0, 0, 0, 0))
    axis = attribute(node, "axis", 0) % max(rank, 1)
    if axis != 1:
        return f"a Concat along axis {axis}; DLA concatenates channels (axis 1)", "concatenate channels"
    return None


def same_batch(network: Network, node: NodeProto) -> Reason | None:
    """An operand that is a constant is a Scale layer and may be of any shape that broadcasts along channels."""
    shapes = {network.shape(name) for name in node.input if name not in network.folded}
    if len(shapes) > 1:
        return f"operands of {len(shapes)} shapes; DLA does not broadcast maps", "resize one of them first"
    return None


def resize_scales(network: Network, node: NodeProto) -> Reason | None:
    """Whole factors that are constants of the graph."""
    place = 1 if node.op_type == "Upsample" else 2
    given = len(node.input) > place and node.input[place]
    scales = network.value(node.input[place]) if given else None
    if scales is None or scales.size == 0:
        why = "resizes to a size and not by constant factors; DLA wants factors"
        return why, "resize by whole factors (edgekit's own exports do where sizes divide)"
    if any(factor != round(float(factor)) for factor in scales):
        return f"resizes by {by([f'{factor:g}' for factor in scales])}; DLA wants whole factors", "use 2 or 4"
    mode = attribute(node, "mode", b"nearest").decode()
    most = {"nearest": 32, "linear": 4}.get(mode)
    if most is None:
        return f"resizes {mode}; DLA knows nearest and linear", "use linear or nearest"
    spatial = scales[-2:]
    if any(not 1 <= factor <= most for factor in spatial):
        return f"resizes {mode} by {by([f'{f:g}' for f in spatial])}; DLA takes 1 to {most}", "resize in steps"
    return None


def resize_coordinates(network: Network, node: NodeProto) -> Reason | None:
    if attribute(node, "mode", b"nearest") != b"linear":
        return None
    coordinates = attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()
    if coordinates not in ("half_pixel", "pytorch_half_pixel"):
        return f"linear with {coordinates} coordinates; DLA knows half_pixel", "use align_corners=False"
    return None


_ALWAYS: tuple[Limit, ...] = (static_shapes, sides, float_types)
_CONV: tuple[Limit, ...] = (
    two_dimensional, constant_weights, conv_kernel, conv_stride, conv_padding, conv_dilation, conv_outputs,
)  # fmt: skip
_DECONV: tuple[Limit, ...] = (
    two_dimensional, constant_weights, conv_kernel, deconv_padding, deconv_groups, deconv_dilation, conv_outputs,
)  # fmt: skip
_POOL: tuple[Limit, ...] = (two_dimensional, pool_window, pool_stride, pool_padding)
_ELEMENTWISE: tuple[Limit, ...] = (same_batch,)
_RESIZE: tuple[Limit, ...] = (two_dimensional, resize_scales, resize_coordinates)

LIMITS: dict[str, tuple[Limit, ...]] = {
    "Conv": _CONV,
    "ConvTranspose": _DECONV,
    "MaxPool": _POOL,
    "AveragePool": _POOL,
    "BatchNormalization": (two_dimensional,),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "Clip": (),
    "LeakyRelu": (),
    "PRelu": (constant_slope,),
    "Add": _ELEMENTWISE,
    "Sum": _ELEMENTWISE,
    "Mul": _ELEMENTWISE,
    "Sub": _ELEMENTWISE,
    "Max": _ELEMENTWISE,
    "Min": _ELEMENTWISE,
    "Concat": (concat_channels,),
    "Resize": _RESIZE,
    "Upsample": _RESIZE,
}

INSTEAD = {
    "HardSwish": "use Relu, or Clip(0, 6)",
    "Pad": "pad inside the convolution, or choose sizes that divide by the network's stride",
    "GlobalAveragePool": "use AveragePool of at most 8×8 in steps, or leave it to the GPU",
    "ArgMax": "take the logits out and decide on the GPU or CPU (edgekit's logits.onnx)",
    "MaxUnpool": "use Resize, or ConvTranspose with kernel = stride",
    "Softmax": "take the logits out: their order is that of the probabilities",
    "Cast": _CAST,
    "Transpose": "give and take N×C×H×W (edgekit's logits.onnx)",
}


def falls_back(network: Network, node: NodeProto) -> Reason | None:
    """Why a node cannot run on a DLA core, and what to change; None where it can."""
    if node.op_type in QUANTIZERS:
        return (
            "DLA takes no Q/DQ before TensorRT 11.4",
            "build the plain graph with a calibration cache (edgekit's logits.onnx)",
        )
    if node.op_type not in LIMITS:
        change = INSTEAD.get(node.op_type, "leave it to the GPU, or write it with convolutions, sums and ReLU")
        return f"DLA has no {node.op_type}", change
    reasons = (limit(network, node) for limit in (*_ALWAYS, *LIMITS[node.op_type]))
    return next((reason for reason in reasons if reason), None)


def alone(network: Network) -> list[str]:
    """What keeps the graph from running on DLA without the GPU at its ends."""
    found = []
    for name in network.inputs:
        shape, kind = network.shapes.get(name, ()), network.types.get(name)
        if kind not in ("float", "float16") or len(shape) != 4:
            found.append(f"the input '{name}' is {kind} {shape}; DLA alone wants float N×C×H×W")
    for name in network.outputs:
        if network.types.get(name) not in ("float", "float16"):
            found.append(f"the output '{name}' is {network.types.get(name)}; DLA alone gives float")
    return found


def _kernel(network: Network, node: NodeProto) -> Sequence[int]:
    return attribute(node, "kernel_shape") or (network.shape(node.input[1]) or ())[2:]


def _spanned(network: Network, node: NodeProto) -> tuple[int, ...]:
    kernel = _kernel(network, node)
    dilation = attribute(node, "dilations") or [1] * len(kernel)
    return tuple(step * (side - 1) + 1 for side, step in zip(kernel, dilation, strict=True))


def _pads(node: NodeProto) -> Sequence[int]:
    return attribute(node, "pads", [])
