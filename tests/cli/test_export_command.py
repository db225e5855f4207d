"""`edgekit export` from the outside: what it prints, where it writes, how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.frames.images import write_png
from edgekit.students.student import Student
from edgekit.tasks import Task


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``student.pt`` and ``frames/``."""
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    tasks = [Task("semantic", "semantic", classes=("a", "b", "c")), Task("depth", "depth", range=(1.0, 50.0), unit="m")]
    made = Student("repseg", tasks, width=16).eval()
    torch.nn.init.normal_(made.network.head.weight, std=0.5)
    made.save(folder / "student.pt")
    rng = np.random.default_rng(0)
    for i in range(3):
        write_png(folder / "frames" / f"{i}.png", rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    return folder


def test_a_bundle_and_its_table(student, tmp_path, capsys):
    out = tmp_path / "made.tar"
    words = ["export", str(student / "student.pt"), "--frames", str(student / "frames"), "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "onnx fp32" in shown and "int8 onnxruntime" in shown and str(out) in shown
    assert "onnxruntime/fp32, onnxruntime/int8" in shown
    assert open_bundle(out).manifest.preprocessing.size == (48, 64)


def test_json_is_one_document(student, tmp_path, capsys):
    words = ["export", str(student / "student.pt"), "--frames", str(student / "frames"), "--json", "--target", "onnx"]
    assert main([*words, "--out", str(tmp_path / "made")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["holds"] and result["artifacts"] == ["onnxruntime/fp32"]
    *compared, scores = result["parity"]
    assert {row["task"] for row in compared} == {"semantic", "depth"}
    assert (scores["step"], scores["holds"]) == ("scores", None)  # a student's file has no labelled frames


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["nowhere"], "no such run"),
        ([], "no finished run"),
        (["{student}"], "no frames"),
        (["{student}", "--frames", "nowhere"], "no such folder"),
        (["{student}", "--frames", "{frames}", "--calibration-frames", "-5"], "where: --calibration-frames"),
        (["{student}", "--frames", "{frames}", "--calibration-frames", "0"], "where: --calibration-frames"),
        (["{student}", "--frames", "{frames}", "--calibration-frames", "nosuchdir"], "where: --calibration-frames"),
        (["{student}", "--frames", "{frames}", "--size", "30x40"], "30x40"),
        (["{student}", "--frames", "{frames}", "--size", "big"], "big"),
        (["{student}", "--frames", "{frames}", "--target", "jetson", "--board", "orin"], "fits several boards"),
        (["{student}", "--frames", "{frames}", "--dynamic", "colour"], "'colour' cannot be left open"),
        (["{student}", "--frames", "{frames}", "--set", "export.fit=stretch"], "--set"),
    ],
)
def test_what_is_wrong_is_said_and_exits_with_2(student, tmp_path, monkeypatch, capsys, words, what):
    monkeypatch.chdir(tmp_path)
    places = {"student": student / "student.pt", "frames": student / "frames"}
    assert main(["export", *(word.format(**places) for word in words)]) == 2
    shown = capsys.readouterr().err
    assert what in shown and "fix:" in shown and "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_student_is_an_error(tmp_path, student, capsys):
    (tmp_path / "student.pt").write_bytes((student / "student.pt").read_bytes()[:5000])
    assert main(["export", str(tmp_path / "student.pt"), "--frames", str(student / "frames")]) == 2
    assert "cannot be read" in capsys.readouterr().err
