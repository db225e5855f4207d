"""What `edgekit export --target jetson` really writes, through build, verify and bench over the fake."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.engine.layers import count_layers
from edgekit.frames.images import write_png
from edgekit.students.student import Student
from edgekit.tasks import Task

TASKS = [Task("semantic", "semantic", classes=("a", "b", "c")), Task("depth", "depth", range=(1.0, 50.0), unit="m")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of every lane, made by the command, of a student that nobody trained."""
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    student = Student("repseg", TASKS, width=16).eval()
    torch.nn.init.normal_(student.network.head.weight, std=0.5)
    student.save(folder / "student.pt")
    rng = np.random.default_rng(0)
    for i in range(3):
        write_png(folder / "frames" / f"{i}.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    words = ["export", str(folder / "student.pt"), "--frames", str(folder / "frames"), "--target", "jetson"]
    assert main([*words, "--out", str(folder / "bundle")]) == 0
    return folder / "bundle"


def artifacts(folder: Path, version: str) -> list[tuple[str, str]]:
    """(lane, precision) of what the bundle has for a TensorRT version."""
    lanes = {"8": ("weak", "cache"), "10": ("weak", "strong", "cache"), "11": ("strong",)}[version.split(".")[0]]
    return [(a.lane, a.precision) for a in open_bundle(folder).manifest.artifacts if a.lane in lanes]


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "11.4.0.106"])
def test_every_artifact_is_taken_by_the_versions_it_names(exported, tensorrt, built_here, version):
    tensorrt(version)
    found = artifacts(exported, version)
    assert ("strong" if version.startswith("11") else "weak", "int8") in found
    for lane, precision in found:
        (built,) = built_here(exported, lane=lane, precision=precision)
        assert built.sidecar.golden, (lane, precision)
        layers = " ".join(count_layers(built.sidecar.layers))
        if lane != "cache" and precision == "int8":
            assert "int8" in layers  # the fake shows the types that the file says
        if precision == "fp32":
            assert built.passes


@pytest.mark.parametrize(
    ("board", "jetpack", "files"),
    [
        ("orin-nano-8gb", "5.1", {"fp32.onnx", "int8-weak.onnx", "logits.onnx"}),
        ("agx-xavier", "5.1", {"fp32.onnx", "int8-weak.onnx", "logits.onnx"}),
        ("orin-nx-16gb", "6.2", {"fp32.onnx", "int8-weak.onnx", "fp16-strong.onnx", "int8-strong.onnx", "logits.onnx"}),
        ("agx-thor", "7.1", {"fp32.onnx", "int8-weak.onnx", "fp16-strong.onnx", "int8-strong.onnx", "logits.onnx"}),
    ],
)
def test_lint_takes_every_file_and_knows_each(exported, capsys, board, jetpack, files):
    """What the builder of the fake takes too, see above; and nothing in it runs worse than it could."""
    assert main(["lint", str(exported), "--board", board, "--jetpack", jetpack, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)["reports"]
    cache = open_bundle(exported).artifact("cache", "int8").file  # of its own where its biases are corrected
    assert {report["subject"].split()[0] for report in reports} == files | {cache}
    for report in reports:
        assert report["builds"] and report["nodes"], report["subject"]
        said = {(f["rule"], f["why"]) for node in report["nodes"] for f in node["findings"]}
        assert {rule for rule, _ in said} <= {"thin"}, (report["subject"], said)
        quantizers = [node for node in report["nodes"] if node["op"] == "QuantizeLinear"]
        assert bool(quantizers) == report["subject"].startswith("int8")


def test_lint_on_dla_looks_at_the_logits_alone(exported, capsys):
    assert main(["lint", str(exported), "--board", "agx-xavier", "--jetpack", "5.1", "--dla", "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)["reports"]
    assert {r["subject"].split()[0] for r in reports} == {
        a.file for a in open_bundle(exported).manifest.artifacts if a.lane == "cache"
    }
    for report in reports:
        assert report["loadables"] == 1 and {node["place"] for node in report["nodes"]} <= {"DLA", "folded"}


@pytest.mark.parametrize(("file", "rules"), [("int8-onnxruntime.onnx", {"zero-point", "bias"}), ("fp32.onnx", set())])
def test_lint_of_one_exported_file(exported, capsys, file, rules):
    """onnxruntime's file is the one that TensorRT refuses."""
    code = main(["lint", str(exported / file), "--board", "orin-nx-16gb", "--jetpack", "6.2", "--json"])
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    found = {f["rule"] for node in report["nodes"] for f in node["findings"] if f["level"] == "error"}
    assert found == rules and code == (1 if rules else 0)


def test_estimate_of_an_exported_bundle(exported, capsys):
    assert main(["estimate", str(exported), "--board", "orin-nano-8gb", "--jetpack", "6.2", "--json"]) == 0
    graphs = json.loads(capsys.readouterr().out)["graphs"]
    named = {g["graph"].split()[0]: g["estimates"][0] for g in graphs}
    assert named["int8-strong.onnx"]["precision"] == "int8" and named["fp16-strong.onnx"]["precision"] == "fp16"
    assert len({e["multiply_adds"] for e in named.values()}) == 1  # the same network in every file
    assert named["int8-weak.onnx"]["estimate_bytes"] < named["fp32.onnx"]["estimate_bytes"]


def test_a_range_table_leaves_no_layer_out_of_int8(exported, built_here, tensorrt):
    (built,) = built_here(exported, lane="cache", precision="int8")
    assert not [note for note in built.sidecar.notes if "no range" in note]
    # the fake has no INT8: it says that what it computed was not that
    assert any("no layer computes in int8" in note for note in built.sidecar.notes)


def test_run_takes_an_engine_too(exported, tensorrt, built_here, tmp_path, capsys):
    (built,) = built_here(exported, lane="weak", precision="fp16")
    words = ["run", str(exported), "--backend", "tensorrt", "--engine", str(built.path), "--output", str(tmp_path)]
    assert main([*words, "--input", str(exported.parent / "frames")]) == 0
    said = capsys.readouterr().out
    assert "3 in" in said and "weak/fp16 by TensorRT 10.3.0" in said and "None" not in said
    assert len(list(tmp_path.glob("*.jpg"))) == 3


def test_a_bundle_of_the_strong_lane_alone_is_verified(exported, tensorrt, built_here, jetson, tmp_path, capsys):
    tensorrt("11.4.0.106")
    folder = shutil.copytree(exported, tmp_path / "strong", ignore=shutil.ignore_patterns("engines"))

    def strong(manifest):
        kept = tuple(a for a in manifest.artifacts if a.lane in ("onnxruntime", "strong"))
        return dataclasses.replace(manifest, artifacts=kept)

    jetson.change_manifest(folder, strong)
    built_here(folder, precision="fp16")
    assert main(["verify", str(folder), "--backend", "tensorrt"]) == 0
    assert "strong/fp16" in capsys.readouterr().out


def test_verify_and_bench_run_the_engine(exported, tensorrt, built_here, capsys):
    (built,) = built_here(exported, lane="weak", precision="fp32")
    assert main(["verify", str(exported), "--backend", "tensorrt", "--engine", str(built.path)]) == 0
    capsys.readouterr()
    words = ["bench", str(built.path), "--duration", "0", "--runs", "5", "--warm-up", "0", "--layers", "--json"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "computed by onnxruntime" in said and json.loads(said)
