"""The gates: what is right passes, and what is wrong fails with the name of the tensor where it begins."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgekit.export.body import bodies
from edgekit.export.compare import HALF, Comparison, ParityLimits, failures, row
from edgekit.export.contract import contract
from edgekit.export.deploy import deploy
from edgekit.export.divergence import between_graphs, first_divergence
from edgekit.export.outputs import Style
from edgekit.export.parity import Checker, parity_summary
from edgekit.graphs.halve import halved
from edgekit.tasks import Task

SIZE = (48, 64)
FORMS = {"semantic": ("classes", "confidence"), "depth": ("depth",), "normals": ("normals",), "landing": ("mask",)}


@pytest.fixture(scope="module")
def student(student_of):
    return student_of()


@pytest.fixture(scope="module")
def made(student):
    return bodies(student, SIZE, (17, 19))


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def preprocessing(student):
    return contract(student, SIZE, "letterbox", SIZE)


def edited(model: onnx.ModelProto, edit) -> onnx.ModelProto:
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.value_info[:]
    edit(out.graph)
    return out


def scaled(name: str, factor: float):
    def edit(graph: onnx.GraphProto) -> None:
        tensor = next(t for t in graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))

    return edit


def check(student, body, preprocessing, frames) -> Checker:
    checker = Checker(student, body, preprocessing, {"frames": frames})
    checker.modules()
    return checker


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_a_right_export_holds(student, made, preprocessing, frames, upsampling):
    checker = check(student, made[17], preprocessing, frames)
    style = Style(upsampling, "float32")
    checker.outputs(deploy(made[17], student.tasks, FORMS, preprocessing, 4, style=style), upsampling)
    checker.file("fp16", halved(made[19]), HALF)
    assert checker.parity.holds, failures(checker.parity.rows)
    steps = {(r["step"], r["task"]) for r in checker.parity.rows}
    assert steps == {(s, t.name) for s in ("fused", "onnx fp32", "outputs fp32", "fp16") for t in student.tasks}
    assert not checker.parity.divergences and parity_summary(checker.parity, list(FORMS)) == ""


@pytest.mark.parametrize("layer", ["stem.0.0", "down16.2.0", "fuse8.0"])
def test_a_wrong_layer_is_named(student, made, preprocessing, frames, layer):
    wrong = edited(made[17], scaled(f"{layer}.weight", 1.01))
    checker = check(student, wrong, preprocessing, frames)
    assert checker.parity.failed_steps() == ["onnx fp32"]
    assert checker.parity.divergences["onnx fp32"].tensor == layer
    assert f"'{layer}'" in parity_summary(checker.parity, list(FORMS))


def test_a_wrong_head_fails_its_own_task_alone(student, made, preprocessing, frames):
    checker = check(student, edited(made[17], scaled("head.depth.weight", 1.01)), preprocessing, frames)
    assert {r["task"] for r in failures(checker.parity.rows)} == {"depth"}
    assert checker.parity.divergences["onnx fp32"].tensor == "depth_logits"


def test_wrong_normalisation_is_named(student, made, preprocessing, frames):
    import dataclasses

    other = dataclasses.replace(preprocessing, mean=tuple(m + 2 for m in preprocessing.mean))
    assert check(student, made[17], other, frames).parity.divergences["onnx fp32"].tensor == "input"


def test_an_error_between_two_graphs_is_named(student, made, preprocessing, frames):
    """Also between graphs of other types: fp16 against fp32, with one layer far more wrong than rounding."""
    checker = check(student, made[17], preprocessing, frames)
    checker.file("fp16", halved(edited(made[19], scaled("down8.1.0.weight", 1.5))), HALF)
    assert checker.parity.failed_steps() == ["fp16"]
    assert checker.parity.divergences["fp16"].tensor == "down8.1.0"


def test_a_resize_that_no_module_makes_is_found_between_graphs(student, made, frames):
    def shift(graph: onnx.GraphProto) -> None:
        node = next(n for n in graph.node if n.op_type == "Resize")
        mode = next(a for a in node.attribute if a.name == "coordinate_transformation_mode")
        mode.s = b"asymmetric"

    x = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)).numpy()
    assert between_graphs(edited(made[17], shift), made[17], x, 1e-4).tensor == "lateral16.resize"
    assert between_graphs(made[19], made[17], x, 1e-4) is None


def test_wrong_post_processing_fails(student, made, preprocessing, frames):
    def shift(graph: onnx.GraphProto) -> None:
        scaled("post.depth.least", 1.05)(graph)
        scaled("post.levels", 0.9)(graph)

    deployed = deploy(made[17], student.tasks, FORMS, preprocessing, 4, style=Style("nearest"))
    shift(deployed.model.graph)
    checker = check(student, made[17], preprocessing, frames)
    checker.outputs(deployed, "nearest")
    assert {(r["task"], r["metric"]) for r in failures(checker.parity.rows)} == {
        ("depth", "error / max depth"),
        ("semantic", "error / max confidence"),
    }


def test_what_is_not_finite_never_holds():
    task = Task("depth", "depth", range=(1.0, 100.0), unit="m")
    comparison = Comparison([task])
    comparison.add({"depth": np.array([[[[np.nan]]]])}, {"depth": np.ones((1, 1, 1, 1))})
    (found,) = comparison.rows("onnx fp32", ParityLimits(error=1e-4))
    assert found["value"] is None and not found["holds"]
    first = first_divergence({"a": np.array([np.nan])}, {"a": np.array([1.0])}, 1e-4)
    assert first.tensor == "a"


def test_limits_are_inclusive():
    assert row("s", "t", "m", 1e-4, 1e-4, at_most=True)["holds"]
    assert row("s", "t", "m", 0.9999, 0.9999, at_most=False)["holds"]
    assert not row("s", "t", "m", 0.9998, 0.9999, at_most=False)["holds"]
    assert row("s", "t", "m", 5.0, None, at_most=True)["holds"]
