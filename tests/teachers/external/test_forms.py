"""Predictions on disk, ONNX files and functions as teachers, against numpy on the same frame."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx import TensorProto

from edgekit.errors import EdgekitError
from edgekit.teachers.external.permission import VARIABLE

MEAN, STD = [95.498, 103.013, 85.048], [55.569, 58.133, 61.126]
WEIGHT = np.random.default_rng(1).normal(size=(3, 3))
NAMES = ["land", "water", "sky"]
SAME = {"semantic": {"classes": NAMES}}


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


def refusal(action, *args, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args, **options)
    return caught.value


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_an_onnx_teacher_is_normalised_with_its_own_statistics(linear, open_teacher, ask, rgb, order):
    linear(WEIGHT)
    seen = {"mean": MEAN, "std": STD, "order": order}
    teacher = open_teacher(kind="onnx", file="net.onnx", inputs=[seen], outputs=SAME)
    colours = rgb if order == "rgb" else rgb[..., ::-1]
    x = (colours.astype(np.float64) - MEAN) / STD
    expected = softmax(np.einsum("oc,hwc->ohw", WEIGHT, x))
    np.testing.assert_allclose(ask(teacher)["semantic"], expected, atol=1e-5)


def test_channels_last_bytes_and_halves(linear, open_teacher, ask, rgb, tmp_path):
    linear(WEIGHT / 300, dtype=TensorProto.UINT8)
    whole = softmax(np.einsum("oc,hwc->ohw", WEIGHT / 300, rgb))
    teacher = open_teacher(kind="onnx", file="net.onnx", outputs=SAME)
    np.testing.assert_allclose(ask(teacher)["semantic"], whole, atol=1e-5)
    linear(WEIGHT / 300, dtype=TensorProto.FLOAT16)
    teacher = open_teacher(kind="onnx", file="net.onnx", outputs=SAME)
    np.testing.assert_allclose(ask(teacher)["semantic"], whole, atol=1e-3)


def test_another_size_and_multiples(linear, open_teacher, ask, rgb):
    linear(np.eye(3), shape=(1, 3, 8, 12))
    error = refusal(ask, open_teacher(kind="onnx", file="net.onnx", outputs=SAME))
    assert "(1, 3, 6, 8)" in error.what and "a/0" in error.where and "size" in error.fix
    for seen in ({"size": (8, 12)}, {"multiple": 4, "size": None}):
        linear(np.eye(3), shape=(1, 3, 8, "w"))
        teacher = open_teacher(kind="onnx", file="net.onnx", inputs=[seen], outputs=SAME)
        assert ask(teacher)["semantic"].shape == (3, 6, 8) and ask(teacher, (2, 3))["semantic"].shape == (3, 2, 3)


def test_several_outputs_are_told_apart_by_name(linear, open_teacher, ask):
    linear(WEIGHT, outputs=("logits", "aux"))
    error = refusal(open_teacher, kind="onnx", file="net.onnx", outputs=SAME)
    assert "several outputs" in error.what and "logits, aux" in error.fix
    chosen = {"semantic": {"output": "aux", "classes": NAMES}}
    assert ask(open_teacher(kind="onnx", file="net.onnx", outputs=chosen))["semantic"].shape == (3, 6, 8)
    assert (
        "no output 'sky'"
        in refusal(open_teacher, kind="onnx", file="net.onnx", outputs={"semantic": {"output": "sky"}}).what
    )


def test_an_onnx_file_that_does_not_fit(linear, open_teacher, tmp_path):
    linear(np.eye(4)[:3], shape=(1, 4, "h", "w"))
    error = refusal(open_teacher, kind="onnx", file="net.onnx", outputs=SAME)
    assert "[1, 4, 'h', 'w']" in error.what and "3 channels" in error.what
    linear(WEIGHT)

    def wrong(**seen):
        return refusal(open_teacher, kind="onnx", file="net.onnx", inputs=[seen], outputs=SAME)

    assert "mean has 2 entries" in wrong(mean=[1, 2]).what and "rgb 3" in wrong(mean=[1, 2]).what
    assert "no 'thermal'" in wrong(modalities=["thermal"]).what
    assert "no input 'image'" in wrong(name="image").what
    two = refusal(open_teacher, kind="onnx", file="net.onnx", inputs=[{}, {}], outputs=SAME)
    assert "has 1 inputs" in two.what
    assert "does not exist" in refusal(open_teacher, kind="onnx", file="no.onnx", outputs=SAME).what
    (tmp_path / "net.onnx").write_bytes(b"not onnx")
    assert refusal(open_teacher, kind="onnx", file="net.onnx", outputs=SAME).where.endswith("net.onnx")


def test_a_missing_modality_is_zero_after_standardising(linear, open_teacher, ask, rgb):
    linear(np.hstack([np.zeros((3, 3)), np.eye(3)[:, :1], np.zeros((3, 0))]))
    seen = {"modalities": ["rgb", "near"], "mean": [0, 0, 0, 0.5], "std": [1, 1, 1, 0.25]}
    teacher = open_teacher(kind="onnx", file="net.onnx", inputs=[seen], outputs=SAME)
    np.testing.assert_allclose(ask(teacher)["semantic"], 1 / 3, rtol=1e-6)


def save(folder, name: str, array: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", array)


def test_predictions_on_disk(tmp_path, open_teacher, ask):
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], (6, 8)).astype(np.float16)
    index = rng.integers(0, 3, (6, 8)).astype(np.uint8)
    metres = rng.uniform(2, 90, (6, 8, 1)).astype(np.float16)
    save(tmp_path / "said" / "m2f" / "part0", "a_0", p)
    save(tmp_path / "said" / "m2f" / "npz", "a_1", p)
    save(tmp_path / "said" / "depth", "a_0", metres)
    save(tmp_path / "hard" / "semantic", "a_0", index)
    teacher = open_teacher(
        kind="npz", folders=["said"], outputs={"semantic": {"output": "m2f", "classes": NAMES}, "depth": {}}
    )
    found = ask(teacher)
    q = p.astype(np.float32)
    np.testing.assert_allclose(found["semantic"], (q / q.sum(-1, keepdims=True)).transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(found["depth"][0], np.log(metres[..., 0].astype(float)) / np.log(100), atol=1e-6)
    hard = open_teacher(kind="npz", folders=["hard"], outputs={"semantic": {"form": "indices", "classes": NAMES}})
    assert np.array_equal(ask(hard)["semantic"].argmax(0), index)
    told = open_teacher(kind="npz", folders=["hard"], outputs=SAME)  # whole numbers say themselves what they are
    np.testing.assert_array_equal(ask(told)["semantic"], ask(hard)["semantic"])
    error = refusal(ask, hard, place=1)
    assert "'a/1'" in error.what and "missing: skip" in error.fix
    lenient = open_teacher(
        kind="npz", folders=["hard"], outputs={"semantic": {"form": "indices", "classes": NAMES}}, missing="skip"
    )
    assert ask(lenient, place=1) == {}


def test_predictions_that_do_not_fit(tmp_path, open_teacher, ask):
    assert "no predictions" in refusal(open_teacher, kind="npz", folders=["x"], outputs={"semantic": {}}).what
    save(tmp_path / "said" / "semantic", "a_0", np.zeros((6, 8, 5), np.float32))
    teacher = open_teacher(kind="npz", folders=["said"], outputs=SAME)
    error = refusal(ask, teacher)
    assert "5 channels, expected 3: land, water, sky" in error.what
    assert "outputs.semantic" in error.where and "a/0" in error.where
    key = teacher.key()
    save(tmp_path / "said" / "semantic", "a_0", np.zeros((6, 8, 3, 2), np.float32))
    assert "not a map" in refusal(ask, teacher).what
    assert open_teacher(kind="npz", folders=["said"], outputs=SAME).key() != key


CODE = """\
import torch
from pathlib import Path

Path("{mark}").touch()

class Net(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return {{"logits": self.factor * x, "other": x[:, :1]}}

def make(factor=1.0):
    return Net(factor)

def nothing():
    return None
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of a name of its own on the Python path; ``mark`` exists once it was imported."""
    name = f"teacher_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(CODE.format(mark=tmp_path / "mark"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def test_code_runs_only_where_it_is_allowed(module, open_teacher, ask, rgb, tmp_path, monkeypatch):
    given = {
        "kind": "torch",
        "function": f"{module}:make",
        "arguments": {"factor": 0.01},
        "outputs": {"semantic": {"output": "logits", "classes": NAMES}},
    }
    monkeypatch.delenv(VARIABLE, raising=False)
    error = refusal(open_teacher, **given)
    assert "--allow-code" in error.fix and not (tmp_path / "mark").exists() and module not in sys.modules
    monkeypatch.setenv(VARIABLE, "1")
    teacher = open_teacher(**given)
    expected = softmax(0.01 * rgb.transpose(2, 0, 1).astype(float))
    np.testing.assert_allclose(ask(teacher)["semantic"], expected, atol=1e-6)
    key = teacher.key()
    assert open_teacher(**given).key() == key
    assert open_teacher(**{**given, "arguments": {"factor": 0.02}}).key() != key
    (tmp_path / "w.bin").write_bytes(b"1")
    assert open_teacher(**given, files=["w.bin"]).key() != key


def test_code_that_is_not_there(module, open_teacher, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    outputs = {"semantic": {"output": "logits", "classes": NAMES}}
    assert "PYTHONPATH" in refusal(open_teacher, kind="torch", function="no_such_module:make", outputs=outputs).fix
    assert "no function" in refusal(open_teacher, kind="torch", function=f"{module}:made", outputs=outputs).what
    assert "NoneType" in refusal(open_teacher, kind="torch", function=f"{module}:nothing", outputs=outputs).what


def test_the_order_of_classes_must_be_said(linear, open_teacher):
    linear(WEIGHT)
    error = refusal(open_teacher, kind="onnx", file="net.onnx", outputs={"semantic": {}})
    assert "does not list" in error.what and "classes: [land, water, sky]" in error.fix


def test_a_task_there_is_not(linear, open_teacher):
    linear(WEIGHT)
    assert "no task" in refusal(open_teacher, kind="onnx", file="net.onnx", outputs={"heat": {}}).what
    assert "no task" in refusal(open_teacher, kind="onnx", file="net.onnx", outputs={"rgb": {}}).what
