"""Checks every node against what a board's TensorRT supports: where it would run, why, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from onnx import NodeProto

from edgekit.boards.lookup import check_pair, newest_jetpack
from edgekit.boards.table import Board, JetPack
from edgekit.errors import EdgekitError
from edgekit.preflight import build_rules, dla, operator_forms, operators, quantization_rules, thin
from edgekit.preflight.finding import Finding, Rule, Target
from edgekit.preflight.network import Network
from edgekit.preflight.subgraphs import subgraph_networks

Place = Literal["GPU", "DLA", "falls back", "folded", "refused"]
"""``falls back``: asked for DLA, runs on the GPU. ``folded``: computed while building. ``refused``: does not build."""

RULES: tuple[Rule, ...] = (
    operators.operator,
    build_rules.types,
    build_rules.uint8,
    operator_forms.constant_inputs,
    operator_forms.form,
    build_rules.pooling,
    build_rules.resize,
    build_rules.subgraph,
    quantization_rules.zero_point,
    quantization_rules.scales,
    quantization_rules.half,
    quantization_rules.mixed,
    quantization_rules.bias,
    quantization_rules.pair,
    quantization_rules.inputs,
    quantization_rules.outputs,
    quantization_rules.between,
    quantization_rules.residual,
    quantization_rules.concat,
    thin.thin,
)


@dataclass(frozen=True)
class NodeReport:
    """``number``: position in the graph; for a node inside If, Loop or Scan that of the node which runs it. Its
    name then says where it is: ``loop/body/conv``."""

    number: int
    name: str
    op: str
    place: Place
    shape: tuple[int | str, ...] | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class LintReport:
    """``graph``: findings about the whole graph. ``loadables``: pieces that DLA would hold, 0 without DLA."""

    subject: str
    board: str
    jetpack: str
    tensorrt: str
    opset: int
    nodes: tuple[NodeReport, ...]
    graph: tuple[Finding, ...]
    loadables: int

    @property
    def findings(self) -> list[Finding]:
        return [*self.graph, *(finding for node in self.nodes for finding in node.findings)]

    @property
    def builds(self) -> bool:
        return all(finding.level != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "builds": self.builds}


def target_of(board: Board, jetpack: JetPack | None, *, dla: bool) -> Target:
    """The newest JetPack of the board (with DLA, where that was asked) if none is named.

    EdgekitError where the JetPack does not run on the board, or DLA was asked for and is not there.
    """
    if dla and not board.dla_cores:
        raise EdgekitError(f"{board.title} has no DLA", where="--dla", fix="leave --dla out, or name another board")
    found = jetpack or newest_jetpack(board, dla=dla)
    check_pair(board, found)
    if dla and not found.dla:
        raise EdgekitError(
            f"JetPack {found.version}'s TensorRT {found.tensorrt} cannot build for DLA",
            where="--jetpack",
            fix="use JetPack 5.1 to 6.2; on AGX Orin, JetPack 7.2.2 with TensorRT 11.4.1 installed has it again",
        )
    return Target(board, found, dla)


def lint(network: Network, target: Target, subject: str) -> LintReport:
    """The network against the target; ``subject`` is what the report calls it."""
    nodes = tuple(
        report for number, node in enumerate(network.nodes) for report in _look_into(network, number, node, target)
    )
    loadables = _loadables(nodes) if target.dla else 0
    graph = tuple(_of_the_graph(network, target, loadables))
    jetpack = target.jetpack
    return LintReport(
        subject, target.board.name, jetpack.version, jetpack.tensorrt, network.opset, nodes, graph, loadables
    )


def _look_into(
    network: Network, number: int, node: NodeProto, target: Target, inside: str = ""
) -> Iterator[NodeReport]:
    """A node, and the nodes of every graph that it runs. ``inside``: the path to the graph it is in."""
    yield _look_at(network, number, node, target, inside)
    for name, body in subgraph_networks(network, node):
        path = f"{inside}{network.label(node)}/{name}/"
        for inner in body.nodes:
            yield from _look_into(body, number, inner, target, path)


def _look_at(network: Network, number: int, node: NodeProto, target: Target, inside: str) -> NodeReport:
    findings = [finding for rule in RULES if (finding := rule(network, node, target))]
    place: Place = "GPU"
    if any(finding.level == "error" for finding in findings):
        place = "refused"
    elif network.is_folded(node):
        place = "folded"
    elif target.dla:
        reason = _IN_A_BODY if inside else dla.falls_back(network, node)
        place = "falls back" if reason else "DLA"
        if reason:
            findings.append(Finding("dla", "slow", *reason))
        else:  # the DLA has its own kernels: slow kernels of the GPU do not matter
            findings = [finding for finding in findings if finding.rule != thin.RULE]
    shape = network.shapes.get(node.output[0]) if node.output else None
    return NodeReport(number, inside + network.label(node), node.op_type, place, shape, tuple(findings))


_IN_A_BODY = ("DLA has no control flow, nor what is inside it", "export the network without control flow")


def _of_the_graph(network: Network, target: Target, loadables: int):
    jetpack = target.jetpack
    if network.opset > jetpack.opset:
        why = f"opset {network.opset}; TensorRT {jetpack.tensorrt} of JetPack {jetpack.version} reads up to"
        change = f"export at opset {jetpack.opset} or lower"
        yield Finding("opset", "error", f"{why} {jetpack.opset}", change)
    for name in network.not_tensors:
        yield Finding(
            "type", "error", f"the input '{name}' is no tensor", "export the network with tensors as its inputs"
        )
    if not network.opset:
        yield Finding("opset", "error", "the graph imports no ONNX operator set", "export it again")
    if target.dla:
        change = "use edgekit's logits.onnx, or build with GPU fallback"
        for why in dla.alone(network):
            yield Finding("dla-alone", "slow", why, change)
        if loadables > dla.MOST_LOADABLES:
            why = f"{loadables} separate pieces on DLA; a core holds {dla.MOST_LOADABLES}"
            yield Finding("dla-loadables", "error", why, "change what falls back between them, or build for the GPU")
        if loadables == 0:
            yield Finding("dla-nothing", "slow", "nothing would run on DLA", "build for the GPU")


def _loadables(nodes: Sequence[NodeReport]) -> int:
    """Runs of DLA nodes in the graph's order: about how many pieces the builder cuts it into."""
    places = [node.place for node in nodes if node.place != "folded"]
    return sum(place == "DLA" and before != "DLA" for before, place in zip(["", *places], places, strict=False))
