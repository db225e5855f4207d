"""build, verify, bench and run with --on, over a real ssh: what is copied, what comes back, what is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgekit.cli.main import main
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.frames.images import read_rgb, write_png
from edgekit.recipe.schema import Recipe
from edgekit.remote import registry
from edgekit.remote.connection import Connection
from edgekit.search.latency import OnBoard, cost_of
from edgekit.students.student import Student
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB

QUICK = ["--duration", "0.05", "--runs", "3", "--warm-up", "0"]


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def files(folder: Path) -> dict[str, int]:
    """Name → when it was written, in ns."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def command(*words: str) -> subprocess.Popen:
    """Another edgekit, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgekit", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_bundle_is_built_verified_measured_and_run_on_a_board(installed, jetson_bundle, tmp_path, capsys):
    bundle, there = str(jetson_bundle), installed.folder / "bundles" / "tiny"
    capsys.readouterr()
    assert main(["build", bundle, "--precision", "fp16", "--json", "--on", "orin"]) == 0
    built = said(capsys)
    plan = Path(built["kept"])
    assert plan.parent == there / "engines" and plan.is_file()
    (sidecar,) = (jetson_bundle / "engines" / "orin").iterdir()
    assert sidecar.read_bytes() == plan.with_name(plan.name + ".json").read_bytes()
    assert not list(jetson_bundle.rglob("*.plan"))  # plans do not move

    assert main(["build", bundle, "--precision", "fp16", "--timing-cache", str(tmp_path / "c"), "--on", "orin"]) == 2
    assert "the board keeps one of its own" in capsys.readouterr().err

    assert main(["verify", bundle, "--backend", "tensorrt", "--json", "--on", "orin"]) == 0
    assert said(capsys)["ran"][0]["engine"] == str(plan)

    measured = tmp_path / "new" / "m.json"
    options = ["--backend", "tensorrt", *QUICK, "--output", str(measured)]
    assert main(["bench", bundle, *options, "--json", "--on", "orin"]) == 0
    assert json.loads(measured.read_text()) == said(capsys)

    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name, size in (("a", (40, 60)), ("b", (64, 96))):
        write_png(photographs / f"{name}.png", np.full((*size, 3), 90, np.uint8))
    options = ["--input", str(photographs), "--output", str(tmp_path / "overlays"), "--task", "depth"]
    assert main(["run", bundle, *options, "--engine", f"x/{plan.name}", "--backend", "tensorrt", "--on", "orin"]) == 0
    assert "frames    2 in" in capsys.readouterr().out
    assert {p.name: read_rgb(p).shape for p in (tmp_path / "overlays").iterdir()} == {
        "a.jpg": (40, 60, 3),
        "b.jpg": (64, 96, 3),
    }
    assert not list((installed.folder / "jobs").iterdir())  # nothing is left there of what came back


def test_frames_of_several_sensors_are_sent(installed, tmp_path, capsys):
    """The same overlays as here, which differ from those without the second sensor."""
    torch.manual_seed(0)
    heat = Task("heat", "modality", channels=1, range=(200.0, 400.0))
    sees = {"modalities": (RGB, heat), "may_lack": ("heat",), "mean": (120, 125, 130, 300), "std": (60, 62, 64, 20)}
    student = Student("repseg", [Task("depth", "depth")], width=8, **sees).eval()
    torch.nn.init.constant_(student.network.head.bias, 0.5)
    student.save(tmp_path / "student.pt")
    rng = np.random.default_rng(0)
    (tmp_path / "heat").mkdir()
    for i in range(2):
        write_png(tmp_path / "rgb" / f"{i}.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
        np.savez(tmp_path / "heat" / f"{i}.npz", rng.normal(300, 20, (64, 96)).astype(np.float32))
    words = ["export", str(tmp_path / "student.pt"), "--frames", str(tmp_path / "rgb"), "--target", "onnx"]
    assert main([*words, "--out", str(tmp_path / "bundle")]) == 0

    def overlays(place: str, *options: str) -> dict[str, str]:
        words = ["run", str(tmp_path / "bundle"), "--input", str(tmp_path / "rgb"), "--backend", "onnxruntime"]
        assert main([*words, "--output", str(tmp_path / place), *options]) == 0
        return {path.name: sha256(path) for path in (tmp_path / place).iterdir()}

    also = ("--also", f"heat={tmp_path / 'heat'}")
    there, here = overlays("there", *also, "--on", "orin"), overlays("here", *also)
    without = overlays("without", "--on", "orin")
    assert there == here and len(there) == 2
    assert not set(without.values()) & set(there.values())
    words = ["run", str(tmp_path / "bundle"), "--input", str(tmp_path / "rgb"), *also, "--on", "orin"]
    capsys.readouterr()
    assert main([*words, "--output", str(tmp_path / "heat")]) == 2
    assert "lie among what is read" in capsys.readouterr().err


def test_what_the_board_answers_is_the_answer(installed, jetson, jetson_bundle, tmp_path, capsys):
    """Exit codes, errors and documents are those of the command there."""
    capsys.readouterr()
    words = ["verify", str(jetson_bundle), "--backend", "tensorrt", "--on", "orin"]
    assert main(words) == 2
    assert "engine has been built from this bundle" in capsys.readouterr().err
    assert main([*words, "--json"]) == 2
    assert "engine has been built" in said(capsys)["error"]["what"]

    def demand(manifest):
        manifest.golden.tolerance["onnxruntime/fp32"]["depth_depth"]["error"] = -1.0
        return manifest

    jetson.change_manifest(jetson_bundle, demand)
    assert main(["verify", str(jetson_bundle), "--precision", "fp32", "--json", "--on", "orin"]) == 1
    assert [c["output"] for c in said(capsys)["checks"] if not c["holds"]] == ["depth_depth"]
    # Refused here, before anything is copied.
    photograph = tmp_path / "p.png"
    write_png(photograph, np.zeros((8, 8, 3), np.uint8))
    for output in (photograph, tmp_path):
        assert (
            main(["run", str(jetson_bundle), "--input", str(photograph), "--output", str(output), "--on", "orin"]) == 2
        )
        assert "the overlays would lie among what is read" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "none"), "--on", "orin"]) == 2
    assert "there is no bundle here" in capsys.readouterr().err
    assert main(["verify", str(jetson_bundle), "--on", "xavier"]) == 2
    assert "no board called 'xavier'" in capsys.readouterr().err


def test_only_what_changed_is_copied(installed, jetson, jetson_bundle, capsys):
    there = installed.folder / "bundles" / "tiny"
    words = ["verify", str(jetson_bundle), "--precision", "fp32", "--on", "orin"]
    assert main(words) == 0
    first = files(there)
    assert {name: sha256(there / name) for name in first} == {name: sha256(jetson_bundle / name) for name in first}
    assert set(first) == set(files(jetson_bundle))
    assert main(words) == 0
    assert files(there) == first

    (there / "engines").mkdir()
    (there / "engines" / "x.plan").write_bytes(b"the board's own")
    (there / "stray").write_bytes(b"")
    (there / "fp32.onnx").write_bytes((there / "fp32.onnx").read_bytes()[:-1] + b"x")
    jetson.change_graph(jetson_bundle, "weak.onnx", lambda model: setattr(model, "doc_string", "changed"))
    assert main(words) == 0
    second = files(there)
    assert {name for name in first if second[name] != first[name]} == {"fp32.onnx", "weak.onnx", "manifest.json"}
    assert set(second) - set(first) == {"engines/x.plan"} and "stray" not in second
    assert sha256(there / "fp32.onnx") == sha256(jetson_bundle / "fp32.onnx")


def test_a_bundle_that_is_an_archive(installed, jetson_bundle, tmp_path, capsys):
    archive = shutil.make_archive(str(tmp_path / "uav"), "tar", jetson_bundle)
    assert main(["build", archive, "--precision", "int8", "--lane", "strong", "--on", "orin"]) == 0
    (sidecar,) = (tmp_path / "uav-engines" / "orin").iterdir()
    assert "int8-strong" in sidecar.name


def test_ctrl_c_here_stops_it_there(installed, jetson_bundle):
    installed.environ(FAKE_TENSORRT_FAIL="hang")
    engines = installed.folder / "bundles" / "tiny" / "engines"
    process = command("build", str(jetson_bundle), "--precision", "fp16", "--on", "orin")
    until(lambda: list(engines.glob(".part-*")))
    time.sleep(1.5)  # into the builder
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "stopping it on the board" in err and "the build was stopped, nothing was written" in err
    assert "Traceback" not in err
    assert [p.name for p in engines.iterdir()] == [".lock"] and not list((installed.folder / "jobs").iterdir())


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once_and_it_stops_all_the_same(installed, jetson_bundle):
    """The board's edgekit takes no notice of Ctrl-C here; it is killed."""
    script = installed.folder / "venv" / "bin" / "edgekit"
    script.write_text("#!/bin/bash\ntrap '' INT\necho deaf >&2\nsleep 1000 & wait\n")
    process = command("verify", str(jetson_bundle), "--on", "orin")
    seen = iter(process.stderr.readline, "")
    assert any("deaf" in line for line in seen)
    process.send_signal(signal.SIGINT)
    assert any("Ctrl-C again" in line for line in seen)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - began < 10
    (job,) = (installed.folder / "jobs").iterdir()
    until(lambda: (job / "done").exists())
    assert json.loads((job / "done").read_text())["codes"] == [-signal.SIGKILL]


@pytest.mark.parametrize("back", ["while it runs", "after it has ended"])
def test_a_cut_connection_is_told_and_the_same_command_goes_on(
    installed, jetson_bundle, tmp_path, capsys, monkeypatch, back
):
    """The command is run once, however often the connection is cut."""
    ran = tmp_path / "ran"
    script = installed.folder / "venv" / "bin" / "edgekit"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {ran}\necho working >&2\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n'
        "echo worked >&2\necho '{\"answer\": 42}'\n"
    )
    words = ["verify", str(jetson_bundle), "--json", "--on", "orin"]
    for _ in range(2):
        process = command(*words)
        assert any("working" in line for line in iter(process.stderr.readline, ""))
        installed.cut()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2
        lost = json.loads(out)["error"]
        assert lost["what"] == "the connection to the board 'orin' was lost"
        assert lost["fix"] == "run the same command again: it goes on where it is"
    if back == "after it has ended":
        (tmp_path / "go").touch()
        (job,) = (installed.folder / "jobs").iterdir()
        until(lambda: (job / "done").exists())
        with monkeypatch.context() as another:  # who comes in between takes nothing away
            another.setenv("LOGNAME", "ada")
            assert main(words) == 0
            ran.write_text(ran.read_text().partition("\n")[0] + "\n")
    else:
        threading.Timer(3.0, (tmp_path / "go").touch).start()
    capsys.readouterr()
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"answer": 42}
    assert "working" in err and "worked" in err and "it is taken up" in err
    assert len(ran.read_text().splitlines()) == 1
    # Done and answered: the next time it is run anew.
    assert main(words) == 0
    assert len(ran.read_text().splitlines()) == 2


def test_a_connection_cut_while_copying(installed, jetson_bundle, tmp_path, capsys):
    """What was whole there is not copied again, and no half file is left."""
    film = tmp_path / "film.mp4"
    film.write_bytes(os.urandom(64 << 20))
    bundle, inputs = installed.folder / "bundles" / "tiny", installed.folder / "inputs" / "given"
    process = command("run", str(jetson_bundle), "--input", str(film), "--on", "orin")
    until(lambda: list(inputs.glob(".part-*")))
    installed.cut()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "was lost" in err and "Traceback" not in err
    before = files(bundle)
    assert set(before) == set(files(jetson_bundle))
    capsys.readouterr()
    assert main(["run", str(jetson_bundle), "--input", str(film), "--on", "orin"]) == 2
    assert "the video cannot be opened" in capsys.readouterr().err  # random bytes, whole there
    assert sha256(inputs / "film.mp4") == sha256(film)
    assert files(bundle) == before and [p.name for p in inputs.iterdir()] == ["film.mp4"]


def test_a_connection_cut_while_the_result_comes_back(installed, jetson_bundle, capsys, monkeypatch):
    """The engine is built once, and its sidecar comes with the second call."""
    built, cut = [], []
    get = Connection.get

    def breaks(self, *arguments, **more):
        if not cut:
            cut.append(installed.cut())
        return get(self, *arguments, **more)

    monkeypatch.setattr(Connection, "get", breaks)
    words = ["build", str(jetson_bundle), "--precision", "fp16", "--on", "orin"]
    engines = installed.folder / "bundles" / "tiny" / "engines"
    for code in (2, 0):
        capsys.readouterr()
        assert main(words) == code
        built.append({path.name: path.stat().st_mtime_ns for path in engines.glob("*.plan")})
        err = capsys.readouterr().err
        assert ("was lost" if code else "it is taken up") in err and "Traceback" not in err
    assert cut and len(built[0]) == 1 and built[0] == built[1]
    assert [path.suffix for path in (jetson_bundle / "engines" / "orin").iterdir()] == [".json"]


def test_the_disk_there_is_full(installed, jetson_bundle, tmp_path, capsys):
    """No file there may be larger than 1 MiB, which the system reports as it does a full disk."""
    import resource

    installed.restart(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    film = tmp_path / "film.mp4"
    film.write_bytes(bytes(8 << 20))
    words = ["run", str(jetson_bundle), "--input", str(film), "--json", "--on", "orin"]
    capsys.readouterr()
    assert main(words) == 2
    error = said(capsys)["error"]
    assert error["what"] == "board 'orin': its disk is full" and "free some space there" in error["fix"]
    assert str(installed.folder) in error["where"]
    assert list((installed.folder / "inputs" / "given").iterdir()) == []
    installed.restart()
    assert main(words) == 2
    assert "the video cannot be opened" in said(capsys)["error"]["what"]


def test_two_workstations_at_once(installed, jetson_bundle, monkeypatch, capsys):
    installed.environ(FAKE_TENSORRT_FAIL="hang")
    engines = installed.folder / "bundles" / "tiny" / "engines"
    first = command("build", str(jetson_bundle), "--precision", "fp16", "--on", "orin")
    try:
        until(lambda: list(engines.glob(".part-*")))
        before = files(installed.folder / "bundles")
        monkeypatch.setenv("LOGNAME", "ada")  # another user, so another workstation
        for words in (["build", "--precision", "fp16"], ["verify", "--precision", "fp32"]):
            capsys.readouterr()
            assert main([words[0], str(jetson_bundle), *words[1:], "--json", "--on", "orin"]) == 2
            what = said(capsys)["error"]["what"]
            assert what.startswith("board 'orin': the board is busy with `edgekit build tiny --precision=fp16` of ")
        assert files(installed.folder / "bundles") == before
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert main(["verify", str(jetson_bundle), "--precision", "fp32", "--on", "orin"]) == 0


def test_of_many_that_take_the_board_at_once_one_has_it(installed):
    """In rounds; whoever is refused is told by whom it is held."""
    board, outcomes = registry.find("orin"), []

    def take(index: int, together: threading.Barrier) -> None:
        with Connection(board) as connection:
            together.wait()
            try:
                outcomes.append(connection.ask("take", id=f"job{index}", who=f"user{index}", what="x")["state"])
            except EdgekitError as error:
                outcomes.append("busy" if "is busy" in error.what else error.what)
            together.wait()  # nobody goes before all have tried

    for _ in range(2):
        together = threading.Barrier(4)
        threads = [threading.Thread(target=take, args=(index, together)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(outcomes) == ["busy"] * 6 + ["free"] * 2


def test_a_job_that_is_killed_there_is_no_result(installed, jetson_bundle, capsys):
    """The supervisor too, as when memory runs out."""
    script = installed.folder / "venv" / "bin" / "edgekit"
    script.write_text("#!/bin/sh\nkill -9 $PPID\n")
    capsys.readouterr()
    assert main(["verify", str(jetson_bundle), "--on", "orin"]) == 2
    err = capsys.readouterr().err
    assert "ended there without a result" in err and "`df` how full the disk is" in err
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgekit "$@"\n')
    assert main(["verify", str(jetson_bundle), "--precision", "fp32", "--on", "orin"]) == 0


def test_edgekit_there_is_another_one(installed, jetson_bundle, capsys):
    (digest,) = installed.folder.glob("venv/lib/*/site-packages/*/digest")
    words = ["verify", str(jetson_bundle), "--on", "orin"]
    digest.write_text("f" * 64)
    assert main(words) == 2
    assert "the edgekit there is another one than the one here" in capsys.readouterr().err
    site = digest.parents[1]
    site.parent.rename(site.parents[1] / "python3.9")
    assert main(words) == 2
    assert "edgekit was installed for Python 3.9" in capsys.readouterr().err
    shutil.rmtree(installed.folder / "venv")
    assert main(words) == 2
    assert "edgekit is not installed there" in capsys.readouterr().err
    assert not (installed.folder / "bundles").exists()


def test_progress_is_live_where_there_is_a_terminal(installed, jetson_bundle):
    """The board's edgekit has a terminal of this one's width where this one has."""
    import pty

    script = installed.folder / "venv" / "bin" / "edgekit"
    code = "import os, sys; print(os.isatty(1), os.isatty(2), os.environ.get('COLUMNS'), file=sys.stderr)"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "edgekit", "verify", str(jetson_bundle), "--on", "orin"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "COLUMNS": ""}, check=False)
    os.close(theirs)
    shown = os.read(ours, 10000).decode()
    os.close(ours)
    assert done.returncode == 0 and "False True 80" in shown
    piped = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "False False None" in piped.stderr


def test_nothing_runs_on_there_once_all_is_done(installed, jetson_bundle):
    assert main(["verify", str(jetson_bundle), "--precision", "fp32", "--on", "orin"]) == 0
    until(lambda: installed.connections() == [], 20)


def test_a_search_times_candidates_on_a_board(installed, tmp_path):
    """`edgekit search --on`: the untrained student is exported, built and measured there, and what fails is told."""
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    infos = [FrameInfo(f"f{i}", "s", i, "val", True) for i in range(3)]
    frames = SimpleNamespace(frames=lambda split: infos, read=lambda info, names: {"rgb": rgb})
    data = {"source": "image_folder", "root": str(tmp_path), "class_names": ["a", "b"]}
    recipe = Recipe.model_validate({"name": "timed", "data": data, "tasks": {"semantic": {}}})
    bench = SimpleNamespace(recipe=recipe, frames=frames, log=None)
    torch.manual_seed(0)
    student = Student("repseg", [Task("semantic", "semantic", classes=("a", "b"))], width=8)  # as it is before training
    board = OnBoard("orin")
    cost = cost_of(board, bench, student, "fp16")
    assert 0 < cost.ms < 60_000 and cost.band_ms is None and board.about == "measured on the board 'orin'"
    installed.environ(FAKE_TENSORRT_FAIL="build")
    with pytest.raises(EdgekitError) as caught:
        cost_of(board, bench, student, "fp16")
    assert "orin" in str(caught.value) or "TensorRT" in str(caught.value)
