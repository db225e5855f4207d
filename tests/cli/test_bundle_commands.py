"""`edgekit bundle`, `edgekit verify` and `edgekit run`: what they print, write and exit with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.main import main
from edgekit.frames.images import read_rgb, write_png


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def document(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def spoil_tolerance(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    whole = json.loads(text)
    whole["golden"]["tolerance"]["onnxruntime/int8"]["depth_depth"]["error"] = 1e-9
    (bundle / "manifest.json").write_text(json.dumps(whole))


def test_inspect(bundle, capsys):
    assert main(["bundle", "inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    for part in ("bundle tiny", "64×96, letterbox", "3 classes", "int8.onnx", "8.5 to 10", "semantic miou", "12.0000"):
        assert part in out
    assert main(["bundle", "inspect", str(bundle), "--json"]) == 0
    said = document(capsys)
    assert [(a["lane"], a["precision"]) for a in said["artifacts"]][:2] == [
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    ]
    assert said["files"]["fp32.onnx"]["bytes"] == (bundle / "fp32.onnx").stat().st_size
    assert said["preprocessing"]["size"] == [64, 96] and said["tasks"][0]["classes"] == ["red", "green", "blue"]


def test_inspect_shows_the_licence_of_the_data(bundle, capsys):
    assert main(["bundle", "inspect", str(bundle)]) == 0
    assert "not stated" in next(x for x in capsys.readouterr().out.splitlines() if "licence" in x)
    whole = json.loads((bundle / "manifest.json").read_text())
    whole["provenance"] |= {"licence": "CC BY 4.0 [/x]", "attribution": "The surveyors"}
    (bundle / "manifest.json").write_text(json.dumps(whole))
    assert main(["bundle", "inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "CC BY 4.0 [/x]" in out and "The surveyors" in out


def test_inspect_shows_what_it_can_of_unusual_metrics(bundle, capsys):
    whole = json.loads((bundle / "manifest.json").read_text())
    whole["metrics"] = {"a": 3, "b": {"semantic": None, "depth": {"absrel": 0.25}}, "c": {}}
    whole["parity"] = [{"step": "fused", "value": 0.5, "holds": False}]
    (bundle / "manifest.json").write_text(json.dumps(whole))
    assert main(["bundle", "inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "0.2500" in out and "fused" in out and "NO" in out


def test_verify_of_a_bundle_is_about_its_files(bundle, capsys):
    spoil_tolerance(bundle)  # what a runtime answers is another question
    assert main(["bundle", "verify", str(bundle)]) == 0
    assert "is whole" in capsys.readouterr().out
    assert main(["bundle", "verify", str(bundle), "--json"]) == 0
    assert document(capsys)["files"] == 4
    (bundle / "golden.npz").unlink()
    assert main(["bundle", "verify", str(bundle)]) == 2
    assert "golden.npz" in capsys.readouterr().err


def test_verify_replays_every_precision(bundle, capsys):
    assert main(["verify", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "onnxruntime/int8" in out and "onnxruntime/fp32" in out and "all outputs hold" in out
    assert main(["verify", str(bundle), "--lane", "cache", "--threads", "1", "--json"]) == 0
    said = document(capsys)
    assert said["holds"] and said["ran"][0]["threads"] == 1
    assert {c["artifact"] for c in said["checks"]} == {"cache/fp32"}


def test_a_miss_exits_with_1_after_the_whole_table(bundle, capsys):
    spoil_tolerance(bundle)
    assert main(["verify", str(bundle), "--precision", "fp32"]) == 0
    capsys.readouterr()
    assert main(["verify", str(bundle)]) == 1
    out = capsys.readouterr().out
    assert out.count("MISSES") == 1 and "1 of 8 outputs miss" in out
    assert main(["verify", str(bundle), "--json"]) == 1
    said = document(capsys)
    assert [c["output"] for c in said["checks"] if not c["holds"]] == ["depth_depth"]


def test_run_paints_photographs(bundle, tmp_path, capsys):
    frame = np.random.default_rng(0).integers(0, 256, (190, 210, 3), dtype=np.uint8)
    write_png(tmp_path / "in" / "a.png", frame)
    write_png(tmp_path / "in" / "b.png", frame)
    arguments = ["run", str(bundle), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "2 in" in captured.out and "fps" in captured.out and "onnxruntime/int8" in captured.out
    assert captured.err == ""  # bars are for terminals
    assert read_rgb(tmp_path / "out" / "a.jpg").shape == frame.shape
    assert main([*arguments, "--task", "normals", "--task", "depth", "--frames", "1", "--json"]) == 0
    said = document(capsys)
    assert said["frames"] == 1 and said["ran"]["outputs"] == ["normals", "depth"]
    assert read_rgb(tmp_path / "out" / "a.jpg").shape == (190, 420, 3)


def test_run_without_an_output_measures(bundle, tmp_path, capsys):
    write_png(tmp_path / "a.png", np.zeros((10, 10, 3), np.uint8))
    assert main(["run", str(bundle), "--input", str(tmp_path / "a.png"), "--json"]) == 0
    assert document(capsys)["output"] is None


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--input", "nowhere.mp4"], "there is no"),
        (["--input", ".", "--task", "sky"], "no output 'sky'"),
        (["--input", ".", "--precision", "fp16"], "no fp16 artifact"),
        (["--input", ".", "--backend", "tpu"], "unknown backend 'tpu'"),
        (["--input", "."], "no photographs"),
        ([], "--input"),
    ],
)
def test_run_says_what_is_wrong(bundle, tmp_path, more, reason, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["run", str(bundle), *more]) == 2
    assert reason in capsys.readouterr().err


def test_photographs_are_run_where_the_workstation_is_not(bundle, tmp_path):
    """On a device: neither torch and onnx, nor OpenCV and PyAV, which only cameras and films need."""
    photograph, out = str(tmp_path / "a.png"), str(tmp_path / "out")
    write_png(photograph, np.zeros((10, 10, 3), np.uint8))
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'pydantic', 'scipy', 'matplotlib', 'jinja2', 'cv2', 'av'):\n"
        "    sys.modules[name] = None\n"
        "from edgekit.cli.main import main\n"
        f"assert main(['verify', {str(bundle)!r}]) == 0\n"
        f"assert main(['bundle', 'inspect', {str(bundle)!r}]) == 0\n"
        f"sys.exit(main(['run', {str(bundle)!r}, '--input', {photograph!r}, '--output', {out!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["onnxruntime", "av"])
def test_a_missing_runtime_is_named(bundle, tmp_path, missing):
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x14ftypisom")  # begins as one does
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from edgekit.cli.main import main\n"
        f"sys.exit(main(['run', {str(bundle)!r}, '--input', {str(tmp_path / 'film.mp4')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install" in done.stderr and "Traceback" not in done.stderr


def test_files_that_are_not_the_bundles_are_listed(bundle, capsys):
    (bundle / "notes.txt").write_text("")
    for command in ("verify", "inspect"):
        assert main(["bundle", command, str(bundle)]) == 0
        assert "not part of the bundle and never read: notes.txt" in capsys.readouterr().out
        assert main(["bundle", command, str(bundle), "--json"]) == 0
        assert document(capsys)["not_part_of_it"] == ["notes.txt"]


def test_run_does_the_others_where_a_photograph_cannot_be_read(bundle, tmp_path, capsys):
    photographs, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "b.png", "c.png"):
        write_png(photographs / name, np.zeros((64, 96, 3), np.uint8))
    (photographs / "b.png").write_bytes(b"")
    args = ["run", str(bundle), "--input", str(photographs), "--output", str(out)]
    assert main(args) == 1
    said = capsys.readouterr().out
    assert "1 of 3 photographs cannot be read" in said and "b.png" in said
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "c.jpg"]
    assert main([*args, "--json"]) == 1
    said = document(capsys)
    assert said["frames"] == 2 and [one["file"] for one in said["unreadable"]] == [str(photographs / "b.png")]
    assert main(["run", str(bundle), "--input", str(photographs / "b.png")]) == 2
    for name in ("a.png", "c.png"):
        (photographs / name).write_bytes(b"")
    assert main(args) == 2
    assert "none of the folder's 3" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["/proc/x", "/proc/x/film.avi", "/tmp/" + "x" * 300, "/tmp/" + "x/" * 3000])
def test_outputs_that_cannot_be(bundle, tmp_path, output, capsys):
    write_png(tmp_path / "a.png", np.zeros((64, 96, 3), np.uint8))
    assert main(["run", str(bundle), "--input", str(tmp_path / "a.png"), "--output", output]) == 2
    assert "cannot write" in capsys.readouterr().err
