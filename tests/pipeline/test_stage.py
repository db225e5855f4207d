"""A stage's folder: whole or not, and held by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError
from edgekit.pipeline.stage import Stage

HOLD = """
import sys, time
from pathlib import Path
from edgekit.pipeline.stage import Stage
with Stage(Path(sys.argv[1]), "teacher", "abc").locked():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr("edgekit.pipeline.stage.PATIENCE", 0.0)


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(tmp_path, "teacher", "abc")


def finish(stage: Stage) -> Path:
    stage.folder.mkdir(exist_ok=True)
    path = stage.folder / "network.pt"
    path.write_bytes(b"weights")
    stage.finish({"seconds": 1.5, "waiting": None}, ["network.pt"])
    return path


def test_a_finished_stage_gives_back_its_result(stage, tmp_path):
    assert stage.result() is None
    finish(stage)
    assert stage.folder == tmp_path / "teacher-abc"
    assert Stage(tmp_path, "teacher", "abc").result() == {"seconds": 1.5, "waiting": None}
    assert Stage(tmp_path, "teacher", "abd").result() is None


def test_a_changed_or_missing_file_undoes_it(stage):
    path = finish(stage)
    path.write_bytes(b"weighty")
    assert stage.result() is None
    path.write_bytes(b"weights")
    assert stage.result() is not None
    path.unlink()
    assert stage.result() is None


def test_a_changed_result_undoes_it(stage):
    """Statistics lie in the marker itself: another number in it is damage too, though it is JSON."""
    finish(stage)
    marker = stage.folder / "done.json"
    marker.write_text(marker.read_text().replace("1.5", "2.5"))
    assert stage.result() is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "3", "{}", '{"files": [], "result": {}}', '{"files": {}}', '{"files": {}, "result": {}}'],
)
def test_a_damaged_marker_counts_as_not_done(stage, text):
    finish(stage)
    (stage.folder / "done.json").write_text(text)
    assert stage.result() is None


def test_the_marker_comes_last(stage, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finish(stage)
    monkeypatch.undo()
    assert stage.result() is None


def test_a_lock_is_held_against_others_and_let_go_after(stage, tmp_path):
    other = Stage(tmp_path, "teacher", "abc")
    with stage.locked():
        with (
            pytest.raises(EdgekitError, match="another run is working on the stage 'teacher'") as caught,
            other.locked(),
        ):
            pass
        assert caught.value.where == str(stage.folder) and "--out" in caught.value.fix
        with Stage(tmp_path, "teacher", "other").locked():
            pass
    with other.locked():
        pass
    with pytest.raises(ZeroDivisionError), stage.locked():
        raise ZeroDivisionError
    with other.locked():
        pass


def test_a_held_stage_is_waited_for_as_long_as_patience_lasts(stage, tmp_path, monkeypatch):
    """So a run that is started anew meets no lock of a worker that is still writing its last checkpoint."""
    monkeypatch.setattr("edgekit.pipeline.stage.PATIENCE", 60.0)
    release, held = threading.Event(), threading.Event()

    def hold() -> None:
        with Stage(tmp_path, "teacher", "abc").locked():
            held.set()
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    threading.Timer(0.3, release.set).start()
    with stage.locked():
        assert release.is_set()
    holder.join()


def test_what_a_killed_writer_left_is_removed_by_the_next_holder(stage):
    deep = stage.folder / "train" / ".part-x1y2"
    deep.mkdir(parents=True)
    (deep / "half.npz").write_bytes(b"half")
    with stage.locked():
        assert not deep.exists()


def test_a_killed_process_lets_go_of_its_lock(stage, tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(EdgekitError, match=f"another run.*process {holder.pid}"), stage.locked():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                with stage.locked():
                    break
            except EdgekitError:
                time.sleep(0.05)
        else:
            pytest.fail("the lock outlived its holder")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgekitError, match="cannot write") as caught, Stage(tmp_path / "file", "a", "b").locked():
        pass
    assert "another place" in caught.value.fix
