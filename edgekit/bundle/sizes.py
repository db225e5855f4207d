"""How large each tensor of a graph becomes, and how much is computed, before anything of it runs.

From the sizes of the inputs, operator by operator, as the ONNX specification says. An operator that is not here, or
makes as much as the values of a frame tell it to, is refused: what it takes cannot be known.
https://onnx.ai/onnx/operators
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]
_MOST_SIDES, MOST_VALUES = 16, 1024  # dimensions of a tensor, and numbers of one whose values are followed

_SAME = {
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip"),
    *("Cos", "Cosh", "CumSum", "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "Hardmax"),
    *("GroupNormalization", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN"),
    *("LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "Mish", "Neg", "Not"),
    *("MeanVarianceNormalization", "QuantizeLinear", "Reciprocal", "Relu", "Round", "ScatterElements", "ScatterND"),
    *("Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tan"),
    *("Tanh", "ThresholdedRelu", "Trilu"),
}
"""Their outputs are as their first input."""
_BROADCAST = {
    *("Add", "And", "BitShift", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean"),
    *("Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
}
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}
_PRODUCTS = {"MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
"""Operator → the place of its second operand."""
_POOLS = {"AveragePool", "LpPool", "MaxPool"}
_CUBIC = 16  # pixels of which interpolation makes one at most
_GLOBAL = {"GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"}
_REDUCE = {
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
}


@dataclass
class TensorFacts:
    """``value``: the numbers of a small one that is made of constants and shapes. ``constant``: it needs no pixels."""

    shape: Shape
    value: np.ndarray | None = None
    constant: bool = False


@dataclass
class Node:
    """``given``: what each input is, None for one that is left out. ``results``: how many outputs it has."""

    op: str
    given: list[TensorFacts | None]
    attributes: dict[str, Any]
    results: int

    def shape(self, place: int = 0) -> Shape:
        tensor = self.given[place] if place < len(self.given) else None
        if tensor is None:
            raise ValueError(f"gives '{self.op}' too few inputs")
        return tensor.shape

    def numbers(self, place: int, name: str = "", default: Any = None) -> Any:
        """An input that says how large the result is, or the attribute of that name: it must be known beforehand."""
        tensor = self.given[place] if place < len(self.given) else None
        if tensor is None:
            return self.attributes.get(name, default)
        if tensor.value is None:
            raise ValueError(f"makes '{self.op}' as large as a frame's pixels say")
        return tensor.value.reshape(-1).tolist()

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)


def node_results(node: Node) -> tuple[list[TensorFacts], int]:
    """What a node makes, and about how many multiply-adds that takes.

    ValueError, a phrase that follows "the graph", for an operator that is not known, and inputs that do not fit.
    """
    try:
        shapes, work = _shapes(node)
    except (IndexError, TypeError, AttributeError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"gives '{node.op}' inputs or attributes that do not fit") from error
    if any(len(shape) > _MOST_SIDES or min(shape, default=0) < 0 for shape in shapes):
        raise ValueError(f"makes a tensor by '{node.op}' of an impossible shape")
    there = [tensor for tensor in node.given if tensor is not None]
    constant = node.op in ("Shape", "Size") or all(tensor.constant for tensor in there)
    if not constant and any(0 in shape for shape in shapes):
        raise ValueError(f"makes an empty tensor by '{node.op}'")  # on which onnxruntime's kernels may crash
    value = _value(node, there) if math.prod(shapes[0]) <= MOST_VALUES else None
    work += sum(math.prod(tensor.shape) for tensor in there) + sum(map(math.prod, shapes))
    return [TensorFacts(shape, value, constant) for shape in shapes], work


def _value(node: Node, there: list[TensorFacts]) -> np.ndarray | None:
    """The numbers of a node's first output, None where they depend on more than constants and sizes."""
    if node.op == "Constant":
        return _stored(node).value
    if node.op == "Shape":
        return np.array(node.shape()[node.get("start", 0) : node.get("end")], np.int64)
    if node.op == "Size":
        return np.array(math.prod(node.shape()), np.int64)
    if node.op not in _FOLLOWED or not there or any(tensor.value is None for tensor in there):
        return None
    try:
        with np.errstate(all="ignore"):
            found = _FOLLOWED[node.op]([tensor.value for tensor in there], node)
        return found if np.isfinite(found).all() else None
    except (ValueError, IndexError, TypeError, OverflowError):
        return None


def _shapes(node: Node) -> tuple[list[Shape], int]:
    op = node.op
    if op == "InstanceNormalization" and not node.shape()[1:2] == node.shape(1) == node.shape(2):
        raise ValueError(f"normalises {node.shape()} by a scale {node.shape(1)} and a bias {node.shape(2)}")
    if op in _SAME:
        return [node.shape()] * node.results, 0
    if op in _BROADCAST:
        return [_together(*(node.shape(i) for i in range(len(node.given))))], 0
    if op in _CONVOLUTIONS:
        return _convolved(node)
    if op in _PRODUCTS:
        a, b = node.shape(), node.shape(_PRODUCTS[op])
        return [_product(a, b)], math.prod(_product(a, b)) * a[-1]
    if op == "Gemm":
        (m, k), n = node.shape()[:: -1 if node.get("transA") else 1], node.shape(1)[0 if node.get("transB") else 1]
        return [(m, n)], m * n * k
    if op in _POOLS:
        kernel = node.get("kernel_shape")
        shape = (*node.shape()[:2], *_slid(node, node.shape()[2:], kernel))
        return [shape] * node.results, math.prod(shape) * math.prod(kernel)
    if op in _GLOBAL:
        return [(*node.shape()[:2], *[1] * (len(node.shape()) - 2))], 0
    if op in _REDUCE or op in ("ArgMax", "ArgMin"):
        return [_reduced(node)], 0
    if op in _OTHERS:
        found = _OTHERS[op](node)
        shapes = found if isinstance(found, list) else [found]
        return shapes, sum(map(math.prod, shapes)) * (_CUBIC if op in ("GridSample", "Resize", "Upsample") else 0)
    raise ValueError(f"has the operator '{op}', and what that takes is not known")


def _convolved(node: Node) -> tuple[list[Shape], int]:
    x, w = node.shape(), node.shape(_CONVOLUTIONS[node.op])
    if len(w) != len(x) or len(x) < 3:
        raise ValueError(f"gives '{node.op}' a kernel {w} for {x}")
    if node.op != "ConvTranspose":
        shape = (x[0], w[0], *_slid(node, x[2:], w[2:]))
        return [shape], math.prod(shape) * math.prod(w[1:])
    sides = len(x) - 2
    steps, spread = node.get("strides", [1] * sides), node.get("dilations", [1] * sides)
    pads, more = node.get("pads", [0] * 2 * sides), node.get("output_padding", [0] * sides)
    same = node.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    found = node.get("output_shape") or [
        x[2 + i] * steps[i]
        if same
        else steps[i] * (x[2 + i] - 1) + more[i] + (w[2 + i] - 1) * spread[i] + 1 - pads[i] - pads[sides + i]
        for i in range(sides)
    ]
    shape = (x[0], w[1] * node.get("group", 1), *found)
    return [shape], math.prod(x) * math.prod(w[1:])


def _slid(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Where a window stops on each side: of convolutions and pools."""
    n = len(sides)
    steps, spread = node.get("strides", [1] * n), node.get("dilations", [1] * n)
    pads, how = node.get("pads", [0] * 2 * n), node.get("auto_pad", "NOTSET")
    found = []
    for i, side in enumerate(sides):
        if how in ("SAME_UPPER", "SAME_LOWER"):
            found.append(-(-side // steps[i]))
            continue
        room = side + (pads[i] + pads[n + i] if how == "NOTSET" else 0) - (kernel[i] - 1) * spread[i] - 1
        if room < 0:
            raise ValueError(f"slides the window of '{node.op}' over a smaller map")
        count = (-(-room // steps[i]) if node.get("ceil_mode") else room // steps[i]) + 1
        beyond = node.get("ceil_mode") and (count - 1) * steps[i] >= side + (pads[i] if how == "NOTSET" else 0)
        found.append(count - 1 if beyond else count)  # no window begins behind the end
    return found


def _product(a: Shape, b: Shape) -> Shape:
    left, right = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
    if left[-1] != right[-2]:
        raise ValueError(f"multiplies {a} by {b}")
    rows, columns = ((left[-2],) if len(a) > 1 else ()), ((right[-1],) if len(b) > 1 else ())
    return (*_together(left[:-2], right[:-2]), *rows, *columns)


def _together(*shapes: Shape) -> Shape:
    """As numpy broadcasts."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"combines {' and '.join(map(str, shapes[:4]))}") from None


def _reduced(node: Node) -> Shape:
    x = node.shape()
    if node.op in _REDUCE:
        axes = node.numbers(1, "axes")
        if not axes:
            axes = [] if node.get("noop_with_empty_axes") else range(len(x))
    else:
        axes = [node.get("axis", 0)]
    gone = {axis % len(x) for axis in axes} if x else set()
    kept = node.get("keepdims", 1)
    return tuple(1 if i in gone else side for i, side in enumerate(x) if kept or i not in gone)


def _slices(node: Node) -> tuple[slice, ...]:
    x = node.shape()
    starts, ends = node.numbers(1, "starts"), node.numbers(2, "ends")
    axes = node.numbers(3, "axes") or range(len(starts))
    steps = node.numbers(4) or [1] * len(starts)
    found = [slice(None)] * len(x)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        found[axis % len(x)] = slice(start, end, step)  # cut off at both ends as Python does
    return tuple(found)


def _sliced(node: Node) -> Shape:
    return tuple(len(range(*cut.indices(side))) for cut, side in zip(_slices(node), node.shape(), strict=True))


def _reshaped(node: Node) -> Shape:
    x, wanted = node.shape(), [int(side) for side in node.numbers(1, "shape")]
    if not node.get("allowzero"):
        wanted = [x[i] if side == 0 else side for i, side in enumerate(wanted)]
    known = math.prod(side for side in wanted if side != -1)
    shape = tuple(math.prod(x) // known if side == -1 else side for side in wanted)
    if wanted.count(-1) > 1 or math.prod(shape) != math.prod(x):
        raise ValueError(f"reshapes {x} to {wanted}")
    return shape


def _concatenated(node: Node) -> Shape:
    shapes = [node.shape(i) for i in range(len(node.given))]
    axis = node.get("axis", 0) % len(shapes[0])
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
        raise ValueError(f"puts {shapes[:8]} together")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _split(node: Node) -> list[Shape]:
    x, axis = node.shape(), node.get("axis", 0)
    parts = node.numbers(1, "split")
    if not parts:
        each = -(-x[axis] // node.results)
        parts = [min(each, x[axis] - each * i) for i in range(node.results)]
    if sum(parts) != x[axis] or len(parts) != node.results:
        raise ValueError(f"splits {x} into {parts}")
    axis %= len(x)
    return [(*x[:axis], part, *x[axis + 1 :]) for part in parts]


def _resized(node: Node) -> Shape:
    x = node.shape()
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ValueError("resizes by a policy")
    scales = node.numbers(2 if len(node.given) > 2 else 1, "scales")
    sizes = node.numbers(3)
    axes = node.get("axes", range(len(x)))
    found = list(x)
    for i, axis in enumerate(axes):
        found[axis] = int(sizes[i]) if sizes else math.floor(x[axis] * scales[i] + 1e-3)
    return tuple(found)


def _padded(node: Node) -> Shape:
    x, pads = node.shape(), node.numbers(1, "pads")
    axes = node.numbers(3) or range(len(x))
    found = list(x)
    for i, axis in enumerate(axes):
        found[axis] += pads[i] + pads[len(axes) + i]
    return tuple(found)


def _unsqueezed(node: Node) -> Shape:
    x, axes = node.shape(), node.numbers(1, "axes")
    places, rest = {axis % (len(x) + len(axes)) for axis in axes}, iter(x)
    return tuple(1 if i in places else next(rest) for i in range(len(x) + len(axes)))


def _squeezed(node: Node) -> Shape:
    x, axes = node.shape(), node.numbers(1, "axes")
    gone = {a % len(x) for a in axes} if axes else {i for i, side in enumerate(x) if side == 1}
    return tuple(side for i, side in enumerate(x) if i not in gone)


def _gathered(node: Node) -> Shape:
    x, axis = node.shape(), node.get("axis", 0) % len(node.shape())
    return (*x[:axis], *node.shape(1), *x[axis + 1 :])


def _flat(node: Node) -> Shape:
    x, axis = node.shape(), node.get("axis", 1)
    return math.prod(x[:axis]), math.prod(x) // max(1, math.prod(x[:axis]))


def _blocks(node: Node) -> Shape:
    n, c, h, w = node.shape()
    b = node.get("blocksize")
    return (n, c // b**2, h * b, w * b) if node.op == "DepthToSpace" else (n, c * b**2, h // b, w // b)


def _best(node: Node) -> list[Shape]:
    x, axis = list(node.shape()), node.get("axis", -1)
    x[axis] = int(node.numbers(1, "k")[0])
    return [tuple(x)] * node.results


def _stored(node: Node) -> TensorFacts:
    """What a node Constant holds, in one of its attributes."""
    ((name, held),) = node.attributes.items()
    if isinstance(held, TensorFacts):
        return held
    value = np.array(held, np.float64 if "float" in name else np.int64)
    return TensorFacts(value.shape, value)


def _sampled(node: Node) -> Shape:
    return (*node.shape()[:2], *node.shape(1)[1:-1])


_OTHERS: dict[str, Callable[[Node], Any]] = {
    "Concat": _concatenated,
    "Constant": lambda node: _stored(node).shape,
    "ConstantOfShape": lambda node: tuple(int(side) for side in node.numbers(0)),
    "DepthToSpace": _blocks,
    "DynamicQuantizeLinear": lambda node: [node.shape(), (), ()],
    "Expand": lambda node: _together(node.shape(), tuple(int(side) for side in node.numbers(1))),
    "Flatten": _flat,
    "Gather": _gathered,
    "GatherElements": lambda node: node.shape(1),
    "GridSample": _sampled,
    "Pad": _padded,
    "Reshape": _reshaped,
    "Resize": _resized,
    "Shape": lambda node: (len(node.shape()[node.get("start", 0) : node.get("end")]),),
    "Size": lambda node: (),
    "Slice": _sliced,
    "SpaceToDepth": _blocks,
    "Split": _split,
    "Squeeze": _squeezed,
    "Tile": lambda node: tuple(int(a * b) for a, b in zip(node.shape(), node.numbers(1), strict=True)),
    "TopK": _best,
    "Transpose": lambda node: tuple(node.shape()[i] for i in node.get("perm", range(len(node.shape()))[::-1])),
    "Unsqueeze": _unsqueezed,
    "Upsample": _resized,
}

# What sizes are made of: the numbers are followed.
_FOLLOWED: dict[str, Callable[[list[np.ndarray], Node], np.ndarray]] = {
    "Add": lambda v, node: v[0] + v[1],
    "Cast": lambda v, node: v[0].astype(np.int64) if node.get("to") in (6, 7) else v[0].astype(np.float64),
    "Ceil": lambda v, node: np.ceil(v[0]),
    "Concat": lambda v, node: np.concatenate(v, node.get("axis", 0)),
    "Div": lambda v, node: v[0] // v[1] if v[0].dtype.kind == v[1].dtype.kind == "i" else v[0] / v[1],
    "Floor": lambda v, node: np.floor(v[0]),
    "Gather": lambda v, node: np.take(v[0], v[1], node.get("axis", 0)),
    "Identity": lambda v, node: v[0],
    "Mul": lambda v, node: v[0] * v[1],
    "Reshape": lambda v, node: v[0].reshape(_reshaped(node)),
    "Slice": lambda v, node: v[0][_slices(node)],
    "Squeeze": lambda v, node: v[0].reshape(_squeezed(node)),
    "Sub": lambda v, node: v[0] - v[1],
    "Unsqueeze": lambda v, node: v[0].reshape(_unsqueezed(node)),
}
"""Operator → numpy's, of integers as int64 and others as float64."""
