"""Small whole inputs of every kind, made once in a temporary folder; cases are mutations of them."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[2] / "tests"

RECIPE = """\
name: tiny
data:
  source: image_folder
  root: photographs
  class_names: [sky, roof, grass]
  labelled: 0.5
tasks:
  semantic: {}
teacher:
  modalities: [rgb, edges]
  members:
    - {family: repseg, width: 4, seed: 0}
  train: &train
    {steps: 2, batch_size: 2, crop: [32, 32], warmup: 0, precision: fp32, workers: 1, augment: {scale: [0.8, 1.2]}}
ensemble: {maskings: 1}
student: {name: repseg, width: 4}
distill:
  losses: {soft: {}, regression: null, normals: null}
  train: *train
evaluate: {split: val, pictures: 1}
require: {student_beats_baseline: false}
"""
DRONESCAPES = """\
name: converted
data: {source: dronescapes, root: sets}
tasks: {semantic: {}}
teacher: {modalities: [rgb], members: [{family: repseg, width: 4}]}
student: {name: repseg, width: 4}
"""
SUITE = """\
name: fuzzed
bundle: bundles/{student}-{size}
students: [repseg]
sizes: [64x96]
precisions: [fp32, int8]
threads: [1]
duration: 0.1
runs: 10
"""
CLASS_TABLE = "name, r, g, b\nsky, 90, 140, 220\nroof, 190, 60, 50\ngrass, 60, 150, 60\n"


def tiny_bundle():
    """tests/tiny_bundle.py as a module."""
    spec = importlib.util.spec_from_file_location("tiny_bundle", TESTS / "tiny_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(root: Path, what: set[str]) -> None:
    """Everything that cases of the kinds ``what`` are made from, in ``root``."""
    import torch

    torch.set_num_threads(1)
    photographs(root)
    if what & {"images", "npz", "manifest", "onnx", "tar"}:
        tiny_bundle().write_tiny_bundle(root / "bundle")
        pack(root / "bundle", root / "bundle.tar")
    if what & {"npz", "sidecars"}:
        _sets(root)
    if "students" in what:
        _students(root)
    if "runs" in what:
        _run(root)
    if "bench" in what:
        _measurements(root)
    if "sidecars" in what:
        _sidecar(root)


def photographs(root: Path, size: tuple[int, int] = (32, 48)) -> None:
    """``tiny.yaml`` and what it needs: four train, one val and one test frame."""
    from edgekit.frames.images import write_png

    rng = np.random.default_rng(0)
    colours = np.array([[90, 140, 220], [190, 60, 50], [60, 150, 60]])
    for i, split in enumerate(["train"] * 4 + ["val", "test"]):
        label = np.full(size, 2, np.uint8)
        label[: rng.integers(8, 14)] = 0
        label[16:24, 8 + i : 24 + i] = 1
        rgb = np.clip(colours[label] + rng.normal(0, 12, (*size, 3)), 0, 255).astype(np.uint8)
        for kind, array in (("images", rgb), ("labels", label)):
            write_png(root / "photographs" / split / kind / f"f{i}.png", array)
    (root / "tiny.yaml").write_text(RECIPE)
    (root / "class_dict.csv").write_text(CLASS_TABLE)


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)


def encoded(image: str) -> bytes:
    """A photograph in a format that Pillow writes, with all sorts of metadata."""
    from PIL import Image, PngImagePlugin

    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8))
    out = io.BytesIO()
    exif = picture.getexif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    options = {"exif": exif.tobytes()} if image in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    if image == "PNG":
        about = PngImagePlugin.PngInfo()
        about.add_text("comment", "x" * 50, zip=True)
        options |= {"pnginfo": about, "icc_profile": b"profile" * 20}
    picture.save(out, image, **options)
    return out.getvalue()


def _sets(root: Path) -> None:
    from edgekit.cli.main import main

    arguments = ["data", "convert", root / "tiny.yaml", "--out", root / "sets", "--json"]
    assert main([str(argument) for argument in arguments]) == 0
    (root / "converted.yaml").write_text(DRONESCAPES)


def _students(root: Path) -> None:
    import torch

    from edgekit.students.student import Student
    from edgekit.tasks import Task

    torch.manual_seed(0)
    tasks = [
        Task("semantic", "semantic", classes=("a", "b", "c"), colours=((0, 0, 0), (1, 1, 1), (2, 2, 2))),
        Task("depth", "depth", range=(1.0, 100.0), unit="m"),
    ]
    Student("repseg", tasks, width=4).save(root / "student.pt")


def _run(root: Path) -> None:
    from edgekit.cli.main import main

    assert main(["distill", str(root / "tiny.yaml"), "--out", str(root / "runs"), "--json"]) in (0, 1)


def _measurements(root: Path) -> None:
    from edgekit.bench.measurement import measure_predictor
    from edgekit.bench.stopwatch import BenchPlan
    from edgekit.bundle.bundle import open_bundle
    from edgekit.runtime.load import load

    folder = tiny_bundle().write_tiny_bundle(root / "measured")
    opened = open_bundle(folder)
    with load(opened, threads=1, precision="fp32") as predictor:
        frames = opened.golden_frames()
        document = measure_predictor(predictor, frames, BenchPlan(0.0, 0.01, 31))
    document |= {"trtexec": None, "unrun": None}
    (root / "measurement.json").write_text(json.dumps(document, indent=1))
    row = {"schema": 1, "key": "0" * 16, "label": "tiny", "cell": {}, "suite": "fuzzed", "created": "", "seconds": 1.0}
    done = {**row, "status": "done", "measurement": document, "error": None}
    wrong = {"what": "x", "where": "y", "fix": "z"}
    failed = {**row, "key": "1" * 16, "label": "other", "status": "failed", "measurement": None, "error": wrong}
    (root / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in (done, failed)))
    (root / "suite.yaml").write_text(SUITE)


def _sidecar(root: Path) -> None:
    from edgekit.frames.files import sha256
    from edgekit.runtime.tensorrt.sidecar import Installed, Sidecar, sidecar_path

    plan = root / "x.plan"
    plan.write_bytes(b"a plan")
    about = Sidecar(
        plan=sha256(plan),
        plan_bytes=6,
        bundle="tiny",
        model="weak.onnx",
        model_sha256="0" * 64,
        lane="weak",
        precision="fp32",
        installed=Installed("10.3.0", "Orin", "8.7", "aarch64"),
        cuda="12.6",
        driver="540",
        board=None,
        jetpack="6.2",
        l4t=None,
        power_mode="MAXN",
        free_memory=10**9,
        dla_core=None,
        gpu_fallback=False,
        flags={},
        command="edgekit build {bundle}",
        created="2025-01-01T00:00:00Z",
        edgekit="0.1.0",
        seconds=1.5,
        layers=({"name": "conv", "type": "Conv", "device": "GPU", "precision": "fp32"},),
    )
    sidecar_path(plan).write_text(about.to_json())
