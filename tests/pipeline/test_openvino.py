"""The OpenVINO backend beside onnxruntime's: the same files, the same answers, chosen by name."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import edgekit
from edgekit.bundle.bundle import Bundle, open_bundle
from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.pipeline.export import Request, export
from edgekit.pipeline.subject import subject_of
from edgekit.runtime.load import load, runnable_precisions
from edgekit.runtime.verify import verify
from edgekit.students.student import Student
from edgekit.tasks import Task

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed (pip install 'edgekit[openvino]')"
)

TASKS = (
    Task("semantic", "semantic", classes=tuple("abcd")),
    Task("depth", "depth", range=(1.0, 300.0), unit="m"),
    Task("normals", "normals"),
)
QUICK = ("--duration", "0", "--runs", "30", "--warm-up", "0", "--threads", "1")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Bundle:
    """A small student's bundle, of any batch and size, in fp32 and int8."""
    folder = tmp_path_factory.mktemp("openvino")
    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
        write_png(folder / "frames" / f"{number}.png", coarse.repeat(8, axis=0).repeat(8, axis=1))
    torch.manual_seed(0)
    student = Student("repseg", TASKS, width=16).train()
    with torch.no_grad():
        student(torch.rand(2, 3, 64, 96) * 255)  # running statistics
    student.save(folder / "student.pt")
    request = Request("cpu", folder / "bundle", size=(64, 96), dynamic=frozenset({"batch", "size"}))
    export(subject_of(folder / "student.pt", frames=folder / "frames"), request)
    return open_bundle(folder / "bundle")


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)


def test_float_answers_are_those_of_onnxruntime(exported, frames):
    with load(exported, precision="fp32") as ours, load(exported, "openvino", "fp32") as theirs:
        for batch in (frames, frames[:1, :48, :80]):  # another number of frames, and another size
            expected, found = ours.infer(batch), theirs.infer(batch)
            assert list(found) == list(expected) and {"semantic", "depth", "normals"} <= set(found)
            for name, array in found.items():
                assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
            assert (found["semantic"] == expected["semantic"]).mean() > 0.999
            np.testing.assert_allclose(found["depth"], expected["depth"], rtol=1e-3)
            np.testing.assert_allclose(found["normals"], expected["normals"], atol=1e-3)


def test_integer_answers_differ_from_onnxruntimes_by_less_than_from_float(exported, frames):
    answers = {}
    for backend, precision in (("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "int8")):
        with load(exported, backend, precision) as predictor:
            answers[backend, precision] = predictor.infer(frames)
    whole, ours, theirs = answers.values()
    for name in ("depth", "normals"):
        assert np.abs(theirs[name] - ours[name]).mean() < np.abs(ours[name] - whole[name]).mean()
    assert (theirs["semantic"] == ours["semantic"]).mean() > (ours["semantic"] == whole["semantic"]).mean()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_frames_hold(exported, precision):
    with load(exported, "openvino", precision) as predictor:
        checks = verify(exported, predictor)
        assert predictor.describe()["runtime"].startswith("openvino 20")
    assert checks and all(check.holds for check in checks), checks


def test_golden_frames_find_a_wrong_answer(exported, monkeypatch):
    with load(exported, "openvino", "fp32") as predictor:
        infer = predictor.backend._infer

        def shifted(feed, wanted):
            return {name: np.roll(array, 3, axis=-1) for name, array in infer(feed, wanted).items()}

        monkeypatch.setattr(predictor.backend, "_infer", shifted)
        assert not any(check.holds for check in verify(exported, predictor) if check.output == "depth_depth")


def test_only_the_files_of_the_cpu_are_its_own(tiny_bundle):
    assert runnable_precisions(open_bundle(tiny_bundle), "openvino") == ["fp32", "int8"]
    with pytest.raises(EdgekitError, match="openvino does not read the lane 'cache'"):
        edgekit.load(tiny_bundle, backend="openvino", lane="cache")


def test_verify_and_bench_run_the_backend_that_is_named(tiny_bundle, tmp_path, capsys):
    assert main(["verify", str(tiny_bundle), "--backend", "openvino", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["holds"] and {ran["backend"] for ran in document["ran"]} == {"openvino"}
    files = []
    for backend in ("onnxruntime", "openvino"):
        files.append(str(tmp_path / f"{backend}.json"))
        assert main(["bench", str(tiny_bundle), "--backend", backend, "--output", files[-1], *QUICK]) == 0
    capsys.readouterr()
    assert main(["bench", "compare", *files, "--json"]) in (0, 1)  # which of them is faster is no test
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["label"].endswith("onnxruntime → mean 64×96 int8 openvino")
    assert "subject backend: onnxruntime → openvino" in pair["differences"]


def test_nobody_is_told_that_it_was_imported(tiny_bundle, tmp_path):
    """Importing OpenVINO reports that to its maker where openvino-telemetry can be imported."""
    package = tmp_path / "openvino_telemetry"
    package.mkdir()
    Path(package / "__init__.py").write_text("print('telling')\n")
    begin = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    load_one = f"import edgekit; edgekit.load({str(tiny_bundle)!r}, backend='openvino'); import openvino_telemetry"

    def told(code: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=False)
        return done.stdout.split()

    assert told("import openvino") == ["telling"], "OpenVINO does it no more: the import needs no care"
    # What another package wants of it afterwards is its own affair.
    assert told(load_one + "; print('loaded', 'openvino' in sys.modules)") == ["telling", "loaded", "True"]
    assert told(load_one.rpartition(";")[0]) == []
