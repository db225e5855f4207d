"""`edgekit lint` and `edgekit estimate`: words, JSON, exit codes."""

from __future__ import annotations

import json

import onnx
import pytest

from edgekit.cli.main import main

ORIN = ["--board", "orin-nx-16gb", "--jetpack", "6.2"]


@pytest.fixture
def graph(tmp_path):
    def write(body: str) -> str:
        head = '<ir_version: 8, opset_import: ["": 17, "mine": 1]>\ng (float[1,16,8,8] x) => (float[1,16,8,8] y)'
        text = f"{head} {{ {body} }}"
        onnx.save(onnx.parser.parse_model(text), tmp_path / "g.onnx")
        return str(tmp_path / "g.onnx")

    return write


def test_a_graph_that_builds(graph, capsys):
    assert main(["lint", graph("a = Relu(x) y = Tanh(a)"), *ORIN]) == 0
    shown = capsys.readouterr().out
    assert "would build; 0 remark(s)" in shown and "1 Relu" in shown and "10.3.0)" in shown


def test_a_graph_that_does_not(graph, capsys):
    path = graph("a = Relu(x) y = mine.Deform(a)")
    assert main(["lint", path, *ORIN]) == 1
    shown = capsys.readouterr().out
    assert "would NOT build" in shown and "needs a plugin" in shown and "refused" in shown
    assert main(["lint", path, *ORIN, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["builds"] is False
    node = document["reports"][0]["nodes"][1]
    assert node["place"] == "refused" and node["findings"][0]["rule"] == "operator" and node["findings"][0]["change"]


def test_dla(graph, capsys):
    assert main(["lint", graph("a = Relu(x) y = HardSwish(a)"), *ORIN, "--dla"]) == 0
    shown = capsys.readouterr().out
    assert "falls back" in shown and "would build with GPU fallback" in shown and "1 piece(s) on DLA" in shown


def test_an_estimate_says_that_it_is_one(graph, capsys):
    path = graph("a = Relu(x) y = Softmax<axis=1>(a)")
    assert main(["estimate", path, *ORIN]) == 0
    shown = capsys.readouterr().out
    assert "fp16: estimate" in shown and "An estimate, not a measurement" in shown and "Assumed, not measured" in shown
    assert main(["estimate", path, *ORIN, "--precision", "fp32", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["what"] == "an estimate, not a measurement" and document["estimate_assumptions"]
    (found,) = document["graphs"]
    assert found["estimates"][0]["precision"] == "fp32"
    assert found["estimates"][0]["estimate_least_ms"] < found["estimates"][0]["estimate_most_ms"]


@pytest.mark.parametrize("command", ["lint", "estimate"])
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["g", "--board", "orin-nx"], "fits several boards"),
        (["g", "--board", "nano"], "edgekit needs TensorRT 8.5"),
        (["g", "--board", "orin-nx-16gb", "--jetpack", "9.9"], "unknown JetPack"),
        (["g", "--board", "agx-xavier", "--jetpack", "6.2"], "ends at JetPack 5.1"),
        (["repseg", *ORIN, "--size", "big"], "is not a size"),
        (["repseg", *ORIN, "--size", "50x50"], "no multiple of 16"),
        (["nothing-here", *ORIN], "neither a student nor a file"),
    ],
)
def test_wrong_input(command, args, said, capsys):
    assert main([command, *args]) == 2
    assert said in capsys.readouterr().err


def test_a_board_must_be_named(capsys):
    assert main(["lint", "repseg"]) == 2
    assert "--board" in capsys.readouterr().err
