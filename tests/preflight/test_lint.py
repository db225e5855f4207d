"""Whole reports: places, the graph's own findings, groups."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.errors import EdgekitError
from edgekit.preflight.grouping import grouped
from edgekit.preflight.lint import lint, target_of

SMALL = "(float[1,16,8,8] x) => (float[N,C,H,W] y) {{ {} }}"


def test_a_graph_that_runs_on_the_gpu(network, target, floats):
    net = network(SMALL.format("c = Conv<pads=[1,1,1,1]>(x, w) y = Relu(c)"), w=floats(16, 16, 3, 3))
    report = lint(net, target(), "small")
    assert [(node.number, node.op, node.place) for node in report.nodes] == [(0, "Conv", "GPU"), (1, "Relu", "GPU")]
    assert report.builds and report.findings == [] and report.loadables == 0
    assert (report.board, report.jetpack, report.tensorrt, report.opset) == ("orin-nx-16gb", "6.2", "10.3.0", 17)
    assert report.nodes[0].shape == (1, 16, 8, 8)


def test_what_falls_back_cuts_dla_into_pieces(network, target, floats):
    net = network(SMALL.format("a = Relu(x) b = HardSwish(a) c = Relu(b) d = Relu(c) y = HardSwish(d)"))
    report = lint(net, target(dla=True), "small")
    assert [node.place for node in report.nodes] == ["DLA", "falls back", "DLA", "DLA", "falls back"]
    assert report.builds and report.loadables == 2
    (finding,) = report.nodes[1].findings
    assert finding.why == "DLA has no HardSwish" and "Relu" in finding.change


def test_more_pieces_than_a_core_holds(network, target):
    def chain(pairs: int) -> str:
        links = [f"r{i} = Relu({f'h{i - 1}' if i else 'x'}) h{i} = HardSwish(r{i})" for i in range(pairs)]
        return SMALL.format(" ".join(links) + f" y = HardSwish(h{pairs - 1})")

    assert lint(network(chain(16)), target(dla=True), "s").builds
    report = lint(network(chain(17)), target(dla=True), "s")
    assert not report.builds and "17 separate pieces" in report.graph[0].why


def test_nothing_for_dla(network, target):
    report = lint(network(SMALL.format("y = HardSwish(x)")), target(dla=True), "s")
    assert [finding.rule for finding in report.graph] == ["dla-nothing"]


@pytest.mark.parametrize(
    ("opset", "version", "builds"),
    [(17, "5.1", True), (18, "5.1", False), (20, "6.2", True), (21, "6.2", False), (21, "7.2", True)],
)
def test_opsets(network, target, opset, version, builds):
    report = lint(network(SMALL.format("y = Relu(x)"), opset), target(version), "s")
    assert report.builds == builds
    assert builds or f"reads up to {17 if version == '5.1' else 20}" in report.graph[0].why


def test_a_node_that_is_refused(network, target):
    report = lint(network(SMALL.format("a = Relu(x) y = mine.Deform(a)")), target(), "s")
    assert [node.place for node in report.nodes] == ["GPU", "refused"] and not report.builds
    assert report.to_json()["builds"] is False


def test_targets():
    assert target_of(find_board("orin-nx-16gb"), None, dla=False).jetpack.version == "7.2.2"
    assert target_of(find_board("orin-nx-16gb"), None, dla=True).jetpack.version == "6.2"
    with pytest.raises(EdgekitError, match="Orin Nano 8 GB has no DLA"):
        target_of(find_board("orin-nano-8gb"), None, dla=True)
    with pytest.raises(EdgekitError, match=r"JetPack 7\.2's TensorRT 10\.16\.0 cannot build for DLA") as caught:
        target_of(find_board("agx-orin-64gb"), find_jetpack("7.2"), dla=True)
    assert "TensorRT 11.4.1" in caught.value.fix
    with pytest.raises(EdgekitError, match="does not run on Jetson AGX Xavier"):
        target_of(find_board("agx-xavier"), find_jetpack("6.2"), dla=False)


def test_groups(network, target, floats):
    body = "a = Relu(x) b = HardSwish(a) c = Relu(b) d = Relu(c) e = Relu(d) f = Conv(e, w) y = Erf(f)"
    report = lint(network(SMALL.format(body), w=floats(16, 16, 3, 3)), target(dla=True), "s")
    groups = grouped(report.nodes)
    assert [(g.place, g.op, len(g.names)) for g in groups] == [
        ("falls back", "HardSwish", 1), ("falls back", "Erf", 1), ("DLA", "Relu", 4), ("DLA", "Conv", 1),
    ]  # fmt: skip
    assert groups[2].which() == "a, c, d and 1 more" and groups[2].why() == ""
    assert groups[0].why().splitlines() == ["DLA has no HardSwish", "→ use Relu, or Clip(0, 6)"]


def test_nodes_with_the_same_advice_are_one_row(network, target, floats):
    text = "(float[1,6,8,8] x) => (float[N,C,H,W] y) { a = Conv(x, v) b = Conv(a, w) y = Conv(b, u) }"
    net = network(text, v=floats(10, 6, 3, 3), w=floats(12, 10, 3, 3), u=np.zeros((12, 12, 1, 1), np.float32))
    (group,) = grouped(lint(net, target(), "s").nodes)
    assert len(group.names) == 3 and "6 to 10 channels" in group.why() and group.why().count("→") == 1
