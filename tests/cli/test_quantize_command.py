"""`edgekit quantize sensitivity` from the outside: its table, its plot, its document, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.cli.main import main
from edgekit.frames.images import write_png
from edgekit.students.student import Student
from edgekit.tasks import Task


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``student.pt``, whose layer before the heads has an outlier channel, and ``frames/``."""
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    tasks = [Task("semantic", "semantic", classes=("a", "b", "c")), Task("depth", "depth", range=(1.0, 50.0), unit="m")]
    made = Student("repseg", tasks, width=16).eval()
    torch.nn.init.normal_(made.network.head.weight, std=0.5)
    with torch.no_grad():
        block = made.network.fuse4  # what the heads read
        block.norm.weight[0] *= 3000
        made.network.head.weight[:, 0] = 0
    made.save(folder / "student.pt")
    rng = np.random.default_rng(0)
    for i in range(3):
        write_png(folder / "frames" / f"{i}.png", rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    return folder


def words(student: Path, *more: str) -> list[str]:
    return ["quantize", "sensitivity", str(student / "student.pt"), "--frames", str(student / "frames"), *more]


@pytest.mark.parametrize("style", ["onnxruntime", "tensorrt"])
def test_the_heads_behind_an_outlier_channel_are_found(student, tmp_path, capsys, style):
    plot = tmp_path / "noise.png"
    assert main(words(student, "--style", style, "--plot", str(plot), "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    layers = {row["layer"]: row["decibels"] for row in result["layers"]}
    worst = min((noise["semantic_logits"], name) for name, noise in layers.items() if noise["semantic_logits"])
    assert worst[1] == "head.semantic" and worst[0] < 10
    # A head reaches its own task alone.
    assert layers["head.semantic"]["depth_logits"] is None and layers["head.depth"]["depth_logits"] < 10
    heard = {name: noise for name, noise in layers.items() if noise["depth_logits"] is not None}
    total = sum(10 ** (-noise["depth_logits"] / 10) for noise in heard.values())
    for row in result["layers"]:
        value = row["decibels"]["depth_logits"]
        share = 0.0 if value is None else 10 ** (-value / 10) / total
        assert row["share"]["depth_logits"] == pytest.approx(share)
    assert result["loudest"]["semantic_logits"] == ["head.semantic"]
    # One error drowns all others, so all layers together are hardly worse than it alone.
    assert result["together"]["semantic_logits"] == pytest.approx(worst[0], abs=0.5)
    # On the CPU the layer that reads the frame is float in what is exported.
    assert (layers["stem.0.0"]["semantic_logits"] is None) == (style == "onnxruntime")
    assert result["calibration_frames"] == 3 and result["measured_frames"] == 3 and result["size"] == [48, 64]
    with Image.open(plot) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_the_table_and_the_default_plot(student, capsys):
    assert main(words(student)) == 0
    shown = capsys.readouterr().out
    assert "semantic_logits" in shown and "most disturbing: head." in shown
    plot = student / "pictures" / "sensitivity-onnxruntime.png"
    assert plot.is_file() and str(plot) in shown


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--plot", "noise.jpg"], "noise.jpg"),
        (["--plot", "/dev/null/noise.png"], "cannot be written"),
        (["--size", "30x40"], "30x40"),
        (["--calibration-frames", "0"], "give 1 or more"),
        (["--calibration-frames", "nowhere"], "neither a number nor a folder"),
        (["--set", "export.quantize.observer=kl"], "--set changes"),
    ],
)
def test_mistakes_are_told(student, capsys, more, what):
    assert main(words(student, *more)) == 2
    assert what in capsys.readouterr().err


def test_without_frames_nothing_is_made_up(student, capsys):
    assert main(["quantize", "sensitivity", str(student / "student.pt")]) == 2
    assert "no frames" in capsys.readouterr().err
