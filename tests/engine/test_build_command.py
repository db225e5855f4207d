"""`edgekit build` with its child processes: killed, crashing, interrupted, orphaned; and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.engine.workfolder import work_folder
from edgekit.errors import EdgekitError
from edgekit.frames.locks import LOCK
from edgekit.frames.unfinished import PART
from edgekit.runtime.tensorrt.locate import engine_folder


def left(folder) -> list[str]:
    engines = engine_folder(open_bundle(folder))
    return sorted(f.name for f in engines.iterdir() if f.name != LOCK) if engines.exists() else []


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_an_engine_and_its_report(jetson_bundle, tensorrt, capsys):
    assert main(["build", str(jetson_bundle), "--precision", "int8", "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["kept"].endswith(".plan") and said["engines"][0]["passes"]
    assert "none of it has been executed on a Jetson yet" in " ".join(err.split())
    assert said["unrun"].startswith("edgekit's TensorRT code was tested against")
    assert len(left(jetson_bundle)) == 2


def test_best_prints_both_and_which_was_kept(jetson_bundle, tensorrt, capsys):
    assert main(["build", str(jetson_bundle)]) == 0
    out, _ = capsys.readouterr()
    assert "fp16" in out and "int8" in out and "was not kept: slower" in out and "kept: " in out


@pytest.mark.parametrize(
    ("failure", "said"),
    [("killed", "killed from outside (signal 9), most likely by the kernel because memory ran out"),
     ("crash", "TensorRT ended the process (SIGABRT)"), ("build", "built nothing")],
)  # fmt: skip
def test_a_build_that_dies_ends_in_a_message(jetson_bundle, tensorrt, capsys, failure, said):
    tensorrt(FAIL=failure)
    assert main(["build", str(jetson_bundle), "--precision", "fp16"]) == 2
    _, err = capsys.readouterr()
    assert said in err and "fix:" in err and "Traceback" not in err
    assert left(jetson_bundle) == []


def test_a_fault_in_the_child_shows_its_traceback(jetson_bundle, tensorrt, capsys, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import edgekit.engine.memory as m\n"
        "def wrong(*a, **k): raise ZeroDivisionError('in the child')\n"
        "m.limits = wrong\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
    assert main(["build", str(jetson_bundle), "--precision", "fp16"]) == 70
    assert "ZeroDivisionError: in the child" in capsys.readouterr().err
    assert left(jetson_bundle) == []


def started(folder) -> subprocess.Popen:
    """A build that hangs in the builder."""
    command = [sys.executable, "-m", "edgekit", "build", str(folder), "--precision", "fp16"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background (`pytest &`, nohup) hands down an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: any(name.startswith(PART) for name in left(folder)))
    until(lambda: children(process.pid))
    time.sleep(1.5)  # into the builder
    return process


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_ctrl_c_during_a_build_leaves_nothing(jetson_bundle, tensorrt):
    tensorrt(FAIL="hang")
    process = started(jetson_bundle)
    (child,) = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the build was stopped, nothing was written" in err and "Traceback" not in err
    assert gone(child) and left(jetson_bundle) == []


def test_a_killed_parent_takes_its_child_along(jetson_bundle, tensorrt):
    tensorrt(FAIL="hang")
    process = started(jetson_bundle)
    (child,) = children(process.pid)
    process.kill()
    process.communicate()
    until(lambda: gone(child))
    # The child removed what it had made; the parent's folder goes with the next build at the latest.
    with work_folder(engine_folder(open_bundle(jetson_bundle))) as folder:
        assert left(jetson_bundle) == [folder.name]
    assert left(jetson_bundle) == []


def test_a_second_build_of_a_bundle_is_refused_while_the_first_runs(jetson_bundle, tensorrt, capsys):
    tensorrt(FAIL="hang")
    process = started(jetson_bundle)
    try:
        before = left(jetson_bundle)
        assert main(["build", str(jetson_bundle), "--precision", "int8"]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"another build of this bundle is running (process {process.pid} on " in said and "wait for it" in said
        assert left(jetson_bundle) == before  # what the first works in is not swept
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert left(jetson_bundle) == []
    tensorrt(FAIL="")
    assert main(["build", str(jetson_bundle), "--precision", "int8"]) == 0


def test_of_builds_that_start_at_once_one_runs(tmp_path):
    """Each has the folder to itself, again and again, for whoever comes first."""
    inside, most, wrong = [], [], []

    def work():
        for _ in range(200):
            try:
                with work_folder(tmp_path) as folder:
                    inside.append(folder)
                    most.append(len(inside))
                    (folder / "plan").write_text("")
                    inside.remove(folder)
            except EdgekitError as error:
                if "another build of this bundle is running" not in error.what:
                    wrong.append(error)
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and set(most) == {1} and [f.name for f in tmp_path.iterdir()] == [LOCK]


def test_no_bundle_and_wrong_options(tmp_path, capsys):
    assert main(["build", str(tmp_path / "none")]) == 2
    assert "there is no bundle here" in capsys.readouterr().err
    assert main(["build", str(tmp_path), "--precision", "int4"]) == 2


def test_a_machine_without_a_gpu(jetson_bundle, capsys, monkeypatch, tensorrt):
    monkeypatch.setenv("FAKE_GPU_COUNT", "-1")
    assert main(["build", str(jetson_bundle), "--json"]) == 2
    assert "no CUDA-capable device" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_a_failing_engine_exits_with_1(jetson, jetson_bundle, tensorrt, capsys):
    def demand(manifest):
        manifest.golden.tolerance["weak/fp16"]["semantic_classes"]["agreement"] = 1.01
        return manifest

    jetson.change_manifest(jetson_bundle, demand)
    assert main(["build", str(jetson_bundle), "--precision", "fp16"]) == 1
    assert "FAIL" in capsys.readouterr().out
