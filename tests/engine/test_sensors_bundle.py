"""A bundle of several sensors through build, verify, bench, lint, estimate and run over the fake TensorRT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.frames.images import write_png
from edgekit.students.student import Student
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB

HEAT = Task("heat", "modality", channels=1, range=(200.0, 400.0))
NEAR = Task("near", "modality", channels=2, range=(0.0, 255.0))
SEEN = {"modalities": (RGB, HEAT, NEAR), "may_lack": ("heat", "near")}
STATISTICS = {"mean": (120.0, 125.0, 130.0, 300.0, 40.0, 41.0), "std": (60.0, 62.0, 64.0, 20.0, 9.0, 8.0)}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of every lane, with an open batch, of a student that nobody trained; photographs are all that it was shown."""
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    tasks = [Task("semantic", "semantic", classes=("a", "b", "c"))]
    student = Student("repseg", tasks, width=8, **SEEN, **STATISTICS).eval()
    torch.nn.init.normal_(student.network.head.weight, std=0.5)
    student.save(folder / "student.pt")
    rng = np.random.default_rng(0)
    for i in range(3):
        write_png(folder / "frames" / f"{i}.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
        (folder / "heat").mkdir(exist_ok=True)
        np.savez(folder / "heat" / f"{i}.npz", rng.normal(300, 20, (64, 96)).astype(np.float32))
    words = ["export", str(folder / "student.pt"), "--frames", str(folder / "frames"), "--target", "jetson"]
    assert main([*words, "--dynamic", "batch", "--out", str(folder / "bundle")]) == 0
    return folder / "bundle"


def a_frame(seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "rgb": rng.integers(0, 256, (64, 96, 3), dtype=np.uint8),
        "heat": rng.normal(300, 20, (64, 96)).astype(np.float32),
        "near": rng.integers(0, 256, (64, 96, 2), dtype=np.uint8),
    }


BUILDS = [
    ("8.6.1", "weak", "fp32"),
    ("10.3.0", "strong", "fp16"),
    ("10.3.0", "cache", "fp32"),
    ("11.4.0.106", "strong", "int8"),
]


@pytest.mark.parametrize(("version", "lane", "precision"), BUILDS)
def test_an_engine_answers_as_onnxruntime_with_and_without(exported, tensorrt, built_here, version, lane, precision):
    tensorrt(version)
    (built,) = built_here(exported, lane=lane, precision=precision)
    assert built.sidecar.golden
    reference = {"fp16": "fp32"}.get(precision, precision)
    engine = edgekit.load(exported, "tensorrt", engine=built.path)
    file = edgekit.load(exported, threads=1, precision=reference)
    with engine, file:
        for lacking in ((), ("heat",), ("near",), ("heat", "near")):
            given = {name: array for name, array in a_frame().items() if name not in lacking}
            found, expected = engine.infer(given)["semantic"], file.infer(given)["semantic"]
            # The cache lane's logits are decided at their own resolution, the file's at the frame's.
            alike = 0.999 if precision == "fp32" and lane != "cache" else 0.9
            assert (found == expected).mean() > alike, lacking
        two = [a_frame(), {name: array[::-1] for name, array in a_frame().items()}]
        alone = [engine.infer(given)["semantic"] for given in two]
        for found, expected in zip(engine.infer_many(two), alone, strict=True):
            np.testing.assert_array_equal(found["semantic"], expected)


def test_photographs_alone_do_not_calibrate_it(exported, tensorrt, capsys):
    tensorrt("10.3.0")
    words = ["build", str(exported), "--lane", "cache", "--precision", "int8", "--calibrate"]
    assert main([*words, str(exported.parent / "frames")]) == 2
    assert "the network sees heat, near too" in capsys.readouterr().err


def test_lint_and_estimate_take_every_file(exported, capsys):
    files = {a.file for a in open_bundle(exported).manifest.artifacts if a.tensorrt}
    for command, key in (("lint", "reports"), ("estimate", "graphs")):
        assert main([command, str(exported), "--board", "orin-nano-8gb", "--jetpack", "6.2", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)[key]) == len(files) >= 5


def test_bench_times_it_on_all_sensors(exported, capsys):
    words = ["bench", str(exported), "--precision", "fp32", "--threads", "1", "--duration", "0.05", "--runs", "3"]
    assert main([*words, "--warm-up", "0", "--frame-size", "32x48", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subject"]["frame_size"] == [32, 48]


def test_run_takes_an_engine_and_folders_side_by_side(exported, tensorrt, built_here, tmp_path, capsys):
    (built,) = built_here(exported, lane="weak", precision="fp16")
    words = ["run", str(exported), "--backend", "tensorrt", "--engine", str(built.path), "--output", str(tmp_path)]
    also = ["--also", f"heat={exported.parent / 'heat'}"]
    assert main([*words, "--input", str(exported.parent / "frames"), *also, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3 and len(list(tmp_path.glob("*.jpg"))) == 3


def test_every_input_has_the_bounds_of_the_batch(exported):
    weak, cache = (open_bundle(exported).artifact(lane, "fp32") for lane in ("weak", "cache"))
    assert {name: p.opt for name, p in cache.profiles().items()} == {"input": (1, 6, 64, 96)}
    assert {name: p.opt for name, p in weak.profiles().items()} == {
        "frames": (1, 64, 96, 3),
        "frames_heat": (1, 64, 96, 1),
        "frames_near": (1, 64, 96, 2),
    }
