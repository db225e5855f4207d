"""examples/infer_trt.py over the fakes: it needs no edgekit and is Python 3.8."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import Preprocessing
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.preprocess import Preprocessor

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "infer_trt.py"


def example():
    spec = importlib.util.spec_from_file_location("infer_trt", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments, engine: Path) -> subprocess.CompletedProcess:
    """In a process that has the fakes and no edgekit."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(ROOT / "tests" / "fakes")
    refuse = (
        f"import sys, runpy; sys.modules['edgekit'] = None; sys.argv = {['infer_trt.py', *map(str, arguments)]!r}\n"
    )
    code = refuse + f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    assert engine.is_file()
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_it_is_python_3_8():
    source = SCRIPT.read_text()
    ast.parse(source, feature_version=(3, 8))
    imported = {n.names[0].name if isinstance(n, ast.Import) else n.module for n in ast.walk(ast.parse(source))
                if isinstance(n, ast.Import | ast.ImportFrom)}  # fmt: skip
    assert {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) == {
        "numpy",
        "pycuda",
        "tensorrt",
    }


def test_python_3_8_compiles_it():
    installed = map(str, Path.home().glob(".pyenv/versions/3.8*/bin/python3.8"))
    found = next(installed, None) or shutil.which("python3.8")
    if found is None:
        pytest.skip("there is no Python 3.8 on this machine")
    check = f"compile(open({str(SCRIPT)!r}).read(), 'infer_trt.py', 'exec')"
    subprocess.run([found, "-c", check], check=True)


@pytest.mark.parametrize(("version", "lane"), [("8.6.1", "weak"), ("10.3.0", "strong"), ("11.4.0.106", "strong")])
def test_it_runs_and_checks_the_golden_frames(jetson_bundle, tensorrt, built_here, tmp_path, version, lane):
    tensorrt(version)
    (built,) = built_here(jetson_bundle, lane=lane, precision="fp16")
    engine = built.path.rename(jetson_bundle / "engines" / f"{lane}-fp16-{version}.engine")  # as build.sh names it
    answers = tmp_path / "answers.npz"
    done = run(jetson_bundle, engine, "--check", "--save", answers, "--runs", "3", engine=engine)
    assert done.returncode == 0, done.stderr
    assert "semantic_classes agreement" in done.stdout and "holds" in done.stdout
    assert "GPU compute  mean" in done.stdout and "over 3 runs" in done.stdout
    golden = open_bundle(jetson_bundle).golden()
    with np.load(answers) as saved:
        assert (saved["semantic_classes"] == golden["semantic_classes"]).mean() > 0.99


def test_the_cache_lane_gives_logits(jetson_bundle, tensorrt, built_here, tmp_path):
    (built,) = built_here(jetson_bundle, lane="cache", precision="fp16")
    frames = tmp_path / "frames.npy"
    np.save(frames, np.zeros((2, 100, 150, 3), np.uint8))
    done = run(jetson_bundle, built.path, "--frames", frames, "--runs", "0", engine=built.path)
    assert done.returncode == 0, done.stderr
    assert "semantic_logits              (2, 3, 16, 24) float32" in done.stdout


def test_a_failing_check_exits_with_1(jetson, jetson_bundle, tensorrt, built_here):
    (built,) = built_here(jetson_bundle, lane="weak", precision="fp16")

    def demand(manifest):
        manifest.golden.tolerance["weak/fp16"]["semantic_classes"]["agreement"] = 1.01
        return manifest

    jetson.change_manifest(jetson_bundle, demand)
    done = run(jetson_bundle, built.path, "--check", "--runs", "0", engine=built.path)
    assert done.returncode == 1 and "FAILS" in done.stdout


def test_an_engine_of_another_version_says_so(jetson_bundle, tensorrt, built_here):
    (built,) = built_here(jetson_bundle, lane="weak", precision="fp16")
    tensorrt("8.6.1")
    done = run(jetson_bundle, built.path, engine=built.path)
    assert done.returncode == 1 and "engines run on the TensorRT version and GPU that built them" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("fit", "content"), [("letterbox", None), ("letterbox", (60, 90)), ("stretch", None)])
def test_frames_are_placed_as_edgekit_places_them(fit, content):
    rules = Preprocessing((64, 96), fit, (120, 125, 130), (120.0, 125.0, 130.0), (60.0, 62.0, 64.0), content=content)
    manifest = {"preprocessing": json.loads(json.dumps(dataclasses.asdict(rules)))}
    rng = np.random.default_rng(0)
    for size in ((64, 96), (50, 96), (64, 40)):
        frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        if content:  # which shrinks, and the example does not antialias
            frame[:] = (200, 100, 50)
        artifact = open_artifact("uint8")
        placed = example().prepare(frame, manifest, artifact)
        placement = FramePlacement.of(rules, size, (64, 96))
        right = Preprocessor(rules, [open_tensor("uint8")])({"rgb": frame[None]}, placement)["frames"]
        # enlarging by two bilinear filters that round differently
        assert np.abs(placed.astype(int) - right.astype(int)).max() <= 1
        planes = example().prepare(frame, manifest, open_artifact("float32"))
        assert planes.shape == (1, 3, 64, 96) and planes.dtype == np.float32


def open_tensor(dtype):
    from edgekit.bundle.manifest import Tensor

    return Tensor("frames", dtype, (1, 64, 96, 3))


def open_artifact(dtype):
    return {"input": {"dtype": dtype}}
