"""A graph as the kernels that TensorRT would about make of it, with what each computes and moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from onnx import NodeProto

from edgekit.errors import EdgekitError
from edgekit.graphs.read import attribute
from edgekit.preflight.network import QUANTIZERS, Network

# Computed in the kernel that makes their input, where nothing else reads it.
_POINTWISE = """
    Relu LeakyRelu PRelu Clip Sigmoid Tanh HardSwish HardSigmoid Elu Selu Softplus BatchNormalization Add Sub
    Mul Div Max Min Abs Neg Exp Log Sqrt Reciprocal Round Floor Ceil Pow Greater Less Equal Where Not Cast
    Dropout
"""
POINTWISE = frozenset(_POINTWISE.split())
# Take the work before them into their own kernel, where nothing else reads it. That they, and pointwise operators, do
# so was seen in the kernels of TensorRT for RTX 1.7.1 (docs/compiler.md).
_MOVES = frozenset(("Transpose", "Resize"))
_TAKES = POINTWISE | _MOVES | {"ArgMax", "ArgMin"}
# Operators whose output is the same memory as their input.
VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Size"))


@dataclass
class Kernel:
    """``nodes`` in one launch. ``reads`` and ``writes`` are tensors; weights are the constants it multiplies with."""

    nodes: list[NodeProto]
    reads: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)

    @property
    def anchor(self) -> NodeProto:
        return self.nodes[0]


def never(node: NodeProto) -> bool:
    return False


def kernels(network: Network, *, bare: Callable[[NodeProto], bool] = never) -> list[Kernel]:
    """The kernels in the graph's order. Views and folded nodes are not kernels of their own.

    A pointwise operator joins the kernel that makes one of its inputs, if no other node reads that input and all its
    other inputs exist by then. TensorRT does at least that for convolutions with their activation and residual sum.

    bare  convolutions that nothing joins, as TensorRT for RTX makes those of INT8: what is behind one is a kernel of
          its own, a QuantizeLinear alone too. By default Q/DQ is part of what is around it, as TensorRT documents.
    """
    made_by: dict[str, Kernel] = {}
    order: dict[int, int] = {}
    found: list[Kernel] = []
    for place, node in enumerate(network.nodes):
        if network.is_folded(node) or node.op_type in VIEWS:
            continue
        if node.op_type in QUANTIZERS and not _quantizes_alone(network, node, made_by, bare):
            continue
        into = _host(network, node, made_by, order) if node.op_type in POINTWISE else None
        if into is None or bare(into.anchor):
            into = Kernel([])
            if node.op_type in _TAKES:
                _take(network, node, into, made_by, found)
            order[id(into)] = place
            found.append(into)
        into.nodes.append(node)
        for name in node.output:
            if name:
                made_by[name] = into
    for kernel in found:
        _fill(network, kernel, made_by)
    return found


def _host(network: Network, node: NodeProto, made_by: dict[str, Kernel], order: dict[int, int]) -> Kernel | None:
    inputs = [_behind(network, name) for name in node.input if name and name not in network.folded]
    hosts = [made_by[name] for name in inputs if name in made_by]
    if not hosts:
        return None
    last = max(hosts, key=lambda kernel: order[id(kernel)])
    own = [name for name in inputs if made_by.get(name) is last]
    alone = all(len(_readers(network, name)[0]) <= 1 and name not in network.outputs for name in own)
    return last if alone else None


def _quantizes_alone(
    network: Network, node: NodeProto, made_by: dict[str, Kernel], bare: Callable[[NodeProto], bool]
) -> bool:
    """Whether a QuantizeLinear is a kernel, where convolutions are bare: all but they quantize what they write."""
    if bare is never or node.op_type != "QuantizeLinear":
        return False
    maker = made_by.get(_behind(network, node.input[0]))
    return maker is None or maker.anchor.op_type in ("Conv", "ConvTranspose")


def _take(network: Network, node: NodeProto, into: Kernel, made_by: dict[str, Kernel], found: list[Kernel]) -> None:
    """Move the kernels before ``node`` into its own, where they are of the kind that it can compute as it reads."""
    allowed = POINTWISE | _MOVES if node.op_type in POINTWISE else POINTWISE
    for name in dict.fromkeys(_behind(network, name) for name in node.input if name):
        kernel = made_by.get(name)
        if kernel is None or kernel is into or any(own.op_type not in allowed for own in kernel.nodes):
            continue
        inside = [*kernel.nodes, node]
        given = [output for own in kernel.nodes for output in own.output if output]
        read = [reader for output in given for reader in _readers(network, output)[0]]
        if any(all(reader is not own for own in inside) for reader in read) or _leave(network, given):
            continue
        found[:] = [other for other in found if other is not kernel]
        into.nodes += kernel.nodes
        made_by.update(dict.fromkeys(given, into))


def _leave(network: Network, names: list[str]) -> bool:
    """Whether one of these tensors is an output of the graph."""
    return any(not set(_readers(network, name)[1]).isdisjoint(network.outputs) for name in names)


def _behind(network: Network, name: str) -> str:
    """The tensor that ``name`` is a view or quantized form of."""
    return network.source(name, (*QUANTIZERS, *VIEWS))


def _readers(network: Network, name: str) -> tuple[list[NodeProto], list[str]]:
    """The nodes that read a tensor, directly or through Q/DQ and views, and the names that those give it."""
    nodes, names = [], [name]
    for given in names:  # which grows meanwhile
        for node in network.consumers.get(given, []):
            if node.op_type in QUANTIZERS or node.op_type in VIEWS:
                names.append(node.output[0])
            else:
                nodes.append(node)
    return nodes, names


def _fill(network: Network, kernel: Kernel, made_by: dict[str, Kernel]) -> None:
    inside = {name for node in kernel.nodes for name in node.output if name}
    for node in kernel.nodes:
        for name in node.input:
            source = _behind(network, name) if name else ""
            if not source or source in inside:
                continue
            target = kernel.weights if name in network.folded else kernel.reads
            if name in network.folded:
                source = name
            if source not in target:
                target.append(source)
    for name in inside:
        readers, names = _readers(network, name)
        outside = any(all(reader is not own for own in kernel.nodes) for reader in readers)
        if outside or not set(names).isdisjoint(network.outputs):
            kernel.writes.append(name)


def node_multiply_adds(network: Network, node: NodeProto) -> int:
    """Multiply-adds of a convolution or matrix product, as papers count them; 0 for any other node.

    EdgekitError where a shape that is needed is open.
    """
    if node.op_type in ("Conv", "ConvTranspose"):
        weights = _known(network, node, node.input[1])
        # Each output (of a transposed one: input) pixel meets each weight of its group once.
        pixels = _known(network, node, node.output[0] if node.op_type == "Conv" else node.input[0])
        return pixels[0] * math.prod(pixels[2:]) * math.prod(weights)
    if node.op_type == "MatMul":
        a = _known(network, node, node.input[0])
        return math.prod(_known(network, node, node.output[0])) * a[-1]
    if node.op_type == "Gemm":
        a = _known(network, node, node.input[0])
        return math.prod(_known(network, node, node.output[0])) * a[0 if attribute(node, "transA", 0) else 1]
    return 0


def elements(network: Network, node: NodeProto, name: str) -> int:
    return math.prod(_known(network, node, name))


def _known(network: Network, node: NodeProto, name: str) -> tuple[int, ...]:
    shape = network.shape(name)
    if shape is None and network.shapes.get(name) != ():
        raise EdgekitError(
            f"the shape of '{name}' is {network.shapes.get(name, 'not known')}",
            where=network.label(node),
            fix="give --size HxW; a graph with other open dimensions must be exported with fixed ones",
        )
    return shape or ()
