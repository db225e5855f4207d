"""An estimate of how fast a graph would run on a board: a roofline per kernel, with assumptions and an error band.

How nodes are grouped into kernels was compared with NVIDIA's own compiler, TensorRT for RTX (docs/compiler.md).

An estimate, not a measurement: no figure here was taken on a board. Williams, Waterman & Patterson, "Roofline" (2009).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from onnx import NodeProto

from edgekit.boards.table import Board
from edgekit.bundle.manifest import Precision
from edgekit.errors import EdgekitError
from edgekit.graphs.read import attribute
from edgekit.graphs.thin import why_not_int8
from edgekit.preflight.kernels import Kernel, elements, kernels, never, node_multiply_adds
from edgekit.preflight.network import Network
from edgekit.preflight.quantization_rules import LAYERS
from edgekit.preflight.subgraphs import CONTROL_FLOW
from edgekit.preflight.thin import convolution_of


@dataclass(frozen=True)
class Efficiency:
    """Shares of the data sheet's compute and bandwidth that a kernel reaches, and the µs between two kernels."""

    compute: float
    bandwidth: float
    launch_us: float


# Assumed, not measured. Small maps and few channels do not fill tensor cores; a launch is cheap inside a CUDA graph.
BEST = Efficiency(compute=0.9, bandwidth=0.9, launch_us=1.5)
USUAL = Efficiency(compute=0.4, bandwidth=0.7, launch_us=3.0)
WORST = Efficiency(compute=0.12, bandwidth=0.4, launch_us=8.0)

# Tensor cores work on blocks of channels: others are padded to them.
_BLOCK = {"fp32": 1, "fp16": 8, "int8": 16}
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
_STORED = {"uint8": 1, "int8": 1, "bool": 1, "int32": 4, "int64": 8, "double": 4}


@dataclass(frozen=True)
class Layer:
    """One kernel. ``bound``: what takes its time. ``share``: of the whole estimate, 0 to 1."""

    name: str
    ops: str
    precision: Precision
    multiply_adds: int
    estimate_bytes: int
    bound: Literal["compute", "memory", "launch"]
    estimate_ms: float
    share: float


@dataclass(frozen=True)
class Estimate:
    """``estimate_least_ms`` to ``estimate_most_ms`` is the error band: every kernel at its best, or at its worst.

    estimate_most_kernels  of the worst: in INT8 a convolution fuses nothing then
    """

    subject: str
    board: str
    precision: Precision
    multiply_adds: int
    estimate_bytes: int
    estimate_ms: float
    estimate_least_ms: float
    estimate_most_ms: float
    estimate_most_kernels: int
    layers: tuple[Layer, ...]


def assumptions(board: Board) -> list[str]:
    """The estimate's assumptions, in sentences."""
    rates = (
        f"{board.title}: {board.int8_tops:g} INT8 TOPS, {board.fp16_tflops:g} FP16 and {board.fp32_tflops:.2g} FP32 "
        f"TFLOPS of the GPU, dense, at {board.gpu_mhz} MHz; {board.memory_gbs:g} GB/s"
    )
    doubt = sorted({"int8_tops", "fp16_tflops", "memory_gbs", "gpu_mhz"} & set(board.unverified))
    usual, best, worst = (f"{e.compute:.0%} / {e.bandwidth:.0%} / {e.launch_us:g} µs" for e in (USUAL, BEST, WORST))
    return [
        rates + (f" (not verified: {', '.join(doubt)})" if doubt else ""),
        f"share of that compute / of that bandwidth / launch per kernel: {usual}; the band is from {best} to {worst}. "
        "Assumed, not measured",
        "highest clocks, locked; GPU only; one frame; copies to and from the GPU not counted",
        "activation, batch norm and residual sum are part of the kernel before them, as NVIDIA's compiler for RTX GPUs "
        "groups students, within three (docs/compiler.md); channels are padded to 8 (FP16) or 16 (INT8); convolutions "
        "in groups run on the CUDA cores",
        "int8: Q/DQ is part of the kernels around it, as TensorRT documents; the upper end of the band has the kernels "
        "that TensorRT for RTX 1.7.1 makes of our students, within one: a convolution writes FP32, and one more kernel "
        "behind it quantizes",
        "every map goes to memory and back: where a map fits the L2 cache it is faster",
        "int8 without Q/DQ in the graph: convolutions with enough channels in INT8, the rest in FP16",
    ]


def default_precision(network: Network) -> Precision:
    """What the graph is made for: int8 with Q/DQ, else fp16."""
    return "int8" if network.has_qdq else "fp16"


def estimate(network: Network, board: Board, precision: Precision, subject: str) -> Estimate:
    """The roofline of every kernel, summed.

    EdgekitError where a shape that is needed is open, or where the graph has control flow.
    """
    for node in network.nodes:
        if node.op_type in CONTROL_FLOW and not network.is_folded(node):
            raise EdgekitError(
                f"what {node.op_type} computes is decided while it runs, so it cannot be estimated",
                where=f"{subject}: {network.label(node)}",
                fix="export the network without data-dependent control flow",
            )
    costs = [_cost(network, kernel, board, precision) for kernel in kernels(network)]
    most = costs
    if precision == "int8":

        def bare(node: NodeProto) -> bool:
            return node.op_type == "Conv" and _precision(network, node, precision) == "int8"

        most = [_cost(network, kernel, board, precision, bare) for kernel in kernels(network, bare=bare)]
    usual = [cost.milliseconds(USUAL) for cost in costs]
    whole = sum(usual)
    return Estimate(
        subject,
        board.name,
        precision,
        sum(cost.multiply_adds for cost in costs),
        sum(cost.moved for cost in costs),
        whole,
        sum(cost.milliseconds(BEST) for cost in costs),
        sum(cost.milliseconds(WORST) for cost in most),
        len(most),
        tuple(cost.layer(ms, ms / whole if whole else 0.0) for cost, ms in zip(costs, usual, strict=True)),
    )


def peak_bytes(network: Network, precision: Precision, *, floats: Precision = "fp16") -> int:
    """Most bytes of maps in memory at once, while kernels run one after the other, and of all weights.

    ``floats``: what is not in INT8 where ``precision`` is that. EdgekitError where a shape that is needed is open.
    """
    found = kernels(network)
    last = {name: place for place, kernel in enumerate(found) for name in kernel.reads}
    alive: dict[str, int] = {}
    most = weights = 0
    for place, kernel in enumerate(found):
        runs = _precision(network, kernel.anchor, precision)
        runs = floats if runs == "fp16" and precision == "int8" else runs
        weights += sum(_bytes(network, kernel.anchor, name, runs) for name in kernel.weights)
        for name in (*kernel.reads, *kernel.writes):
            lies = _in_memory(network, name, precision, never)
            lies = floats if lies == "fp16" and precision == "int8" else lies
            alive.setdefault(name, _bytes(network, kernel.anchor, name, lies))
        most = max(most, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last.get(name, -1) > place or name in network.outputs}
    return most + weights


@dataclass(frozen=True)
class _Cost:
    """``compute_s`` and ``memory_s`` at the data sheet's rates."""

    name: str
    ops: str
    precision: Precision
    multiply_adds: int
    moved: int
    compute_s: float
    memory_s: float

    def milliseconds(self, efficiency: Efficiency) -> float:
        busy = max(self.compute_s / efficiency.compute, self.memory_s / efficiency.bandwidth)
        return 1e3 * busy + 1e-3 * efficiency.launch_us

    def layer(self, ms: float, share: float) -> Layer:
        times = {
            "compute": self.compute_s / USUAL.compute,
            "memory": self.memory_s / USUAL.bandwidth,
            "launch": 1e-6 * USUAL.launch_us,
        }
        bound = max(times, key=times.__getitem__)
        return Layer(self.name, self.ops, self.precision, self.multiply_adds, self.moved, bound, ms, share)  # type: ignore[arg-type]


def _cost(
    network: Network, kernel: Kernel, board: Board, asked: Precision, bare: Callable[[NodeProto], bool] = never
) -> _Cost:
    runs = _precision(network, kernel.anchor, asked)
    macs = sum(node_multiply_adds(network, node) for node in kernel.nodes)
    maps = (*kernel.reads, *kernel.writes)
    moved = sum(_bytes(network, kernel.anchor, name, _in_memory(network, name, asked, bare)) for name in maps)
    moved += sum(_bytes(network, kernel.anchor, name, runs) for name in kernel.weights)
    return _Cost(
        network.label(kernel.anchor),
        " + ".join(node.op_type for node in kernel.nodes),
        runs,
        macs,
        moved,
        sum(_compute_seconds(network, node, board, runs) for node in kernel.nodes),
        moved / (1e9 * board.memory_gbs),
    )


def _precision(network: Network, node: NodeProto, asked: Precision) -> Precision:
    """What a kernel computes in: INT8 only for layers that are quantized, or would be."""
    if asked != "int8":
        return asked
    if network.has_qdq:
        return "int8" if node.op_type in LAYERS and network.is_quantized(node.input[0]) else "fp16"
    conv = convolution_of(network, node)
    return "int8" if conv is not None and why_not_int8(conv) is None else "fp16"


def _in_memory(network: Network, name: str, asked: Precision, bare: Callable[[NodeProto], bool]) -> Precision:
    """How a map lies in memory: INT8 where all its readers take it as that, FP32 behind a bare convolution."""
    if asked != "int8":
        return asked
    made = network.producers.get(name)
    if made is not None and bare(made):
        return "fp32"
    readers = network.consumers.get(name, [])
    if network.has_qdq:
        return "int8" if readers and all(reader.op_type == "QuantizeLinear" for reader in readers) else "fp16"
    return "int8" if readers and all(_precision(network, reader, asked) == "int8" for reader in readers) else "fp16"


def _bytes(network: Network, node: NodeProto, name: str, precision: Precision) -> int:
    kind = network.types.get(name, "float")
    size = _BYTES[precision] if kind in ("float", "float16") else _STORED.get(kind, 4)
    return size * elements(network, node, name)


def _compute_seconds(network: Network, node: NodeProto, board: Board, precision: Precision) -> float:
    """Of the multiply-adds, at the data sheet's rate. Pointwise work hides behind memory."""
    macs = node_multiply_adds(network, node)
    if not macs:
        return 0.0
    if attribute(node, "group", 1) > 1:  # on the CUDA cores
        return 2 * macs / (1e12 * board.fp32_tflops)
    rates = {"fp32": board.fp32_tflops, "fp16": board.fp16_tflops, "int8": board.int8_tops}
    conv = convolution_of(network, node)
    if conv is not None:
        macs = macs * _padded(conv.c_in, precision) * _padded(conv.c_out, precision) / (conv.c_in * conv.c_out)
    return 2 * macs / (1e12 * rates[precision])


def _padded(channels: int, precision: Precision) -> int:
    block = _BLOCK[precision]
    return block * math.ceil(channels / block)
