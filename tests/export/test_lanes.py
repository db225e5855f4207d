"""Which files a target has."""

from __future__ import annotations

import pytest

from edgekit.errors import EdgekitError
from edgekit.export.lanes import ARTIFACT_ROWS, row_of, rows_for


def said(rows) -> list[str]:
    return [f"{row.lane}/{row.precision}" for row in rows]


def test_every_target():
    assert said(rows_for("cpu")) == ["onnxruntime/fp32", "onnxruntime/int8"]
    assert said(rows_for("onnx")) == ["onnxruntime/fp32"]
    assert rows_for("jetson") == ARTIFACT_ROWS
    assert said(rows_for("rtx")) == ["onnxruntime/fp32", "onnxruntime/int8", "strong/fp16", "strong/int8"]
    assert said(rows_for("rtx", "fp16")) == ["onnxruntime/fp32", "strong/fp16"]


def test_precision_is_how_far_down_to_go():
    assert said(rows_for("cpu", "fp32")) == ["onnxruntime/fp32"]
    assert {row.precision for row in rows_for("jetson", "fp16")} == {"fp32", "fp16"}
    assert rows_for("jetson", "int8") == ARTIFACT_ROWS


@pytest.mark.parametrize(
    ("board", "jetpack", "lanes"),
    [
        ("agx-xavier-32gb", None, {"onnxruntime", "weak", "cache"}),  # ends at TensorRT 8.5
        ("orin-nano-8gb", "6.0", {"onnxruntime", "weak", "cache"}),  # 8.6
        ("orin-nano-8gb", "6.2", {"onnxruntime", "weak", "strong", "cache"}),  # 10.3
        ("orin-nano-8gb", None, {"onnxruntime", "weak", "strong", "cache"}),
        (None, "5.1.3", {"onnxruntime", "weak", "cache"}),
    ],
)
def test_a_board_keeps_the_lanes_that_it_can_build(board, jetpack, lanes):
    assert {row.lane for row in rows_for("jetson", None, board, jetpack)} == lanes


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (("jetson", None, "orin-nono"), "orin-nono", "orin-nano-8gb"),
        (("jetson", None, None, "9.9"), "9.9", "6.2"),
        (("jetson", None, "agx-xavier-32gb", "6.2"), "does not run on", "5.1"),
        (("jetson", None, "nano"), "not supported", "orin-nano-8gb"),
        (("rtx", "fp32"), "rtx has no fp32", "fp16 or int8"),
        (("rtx", None, "orin-nano-8gb"), "rtx has no board", "--target jetson"),
        (("cpu", None, "orin-nano-8gb"), "cpu has no board", "--target jetson"),
        (("cpu", "fp16"), "cpu has no fp16", "--target jetson"),
        (("onnx", "int8"), "onnx has no int8", "--target cpu or jetson"),
    ],
)
def test_what_cannot_be_asked_names_what_can(arguments, what, fix):
    with pytest.raises(EdgekitError, match=what) as caught:
        rows_for(*arguments)
    assert fix in caught.value.fix


def test_operator_sets_are_what_the_oldest_runtime_reads():
    from edgekit.boards.table import table

    for row in ARTIFACT_ROWS:
        if row.tensorrt:
            oldest = {"8.5": "8.5.2", "10": "10.0.0"}[row.tensorrt[0]]
            assert row.opset <= table().opset(oldest)


def test_a_row_knows_its_graph_and_its_gate():
    assert {row.key: row.style for row in ARTIFACT_ROWS if row.style} == {
        "onnxruntime/int8": "onnxruntime",
        "weak/int8": "tensorrt",
        "strong/int8": "tensorrt",
    }
    gates = {row.file: row.gate for row in ARTIFACT_ROWS if row.gate}
    assert {file: step for file, (step, _) in gates.items()} == {
        "int8-onnxruntime.onnx": "int8 onnxruntime",
        "int8-weak.onnx": "int8 weak",
        "int8-strong.onnx": "int8 strong",
        "fp16-strong.onnx": "fp16",
    }
    # Float16 must stay near float32; integers are judged by what they score.
    assert {file for file, (_, limits) in gates.items() if limits.error} == {"fp16-strong.onnx"}


def test_rows_of_one_file_have_one_graph():
    """They share the file, so nothing that makes its graph may differ."""
    for file in {row.file for row in ARTIFACT_ROWS}:
        assert len({(row.style, row.half, row.opset, row.gate) for row in ARTIFACT_ROWS if row.file == file}) == 1
    own = row_of(ARTIFACT_ROWS, "cache/int8").of_other_weights()
    assert own.file not in {row.file for row in ARTIFACT_ROWS} and own.key == "cache/int8"
    assert row_of(ARTIFACT_ROWS, "strong/fp32") is None
