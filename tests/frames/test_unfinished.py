"""What is not finished is held while somebody works on it, and goes when nobody does; names are exchanged at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgekit.frames import unfinished
from edgekit.frames.files import atomic_write
from edgekit.frames.unfinished import OLD, PART, exchange, part_folder, remove_abandoned

HOLDER = """
import sys, time
from edgekit.frames.unfinished import part_folder
with part_folder(sys.argv[1]) as folder:
    (folder / "half").write_text("")
    print(folder, flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> tuple[subprocess.Popen, Path]:
    """A process that works in a part folder, and that folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_kept_while_it_is_held_and_goes_after_a_kill(tmp_path):
    process, part = holder(tmp_path)
    try:
        with part_folder(tmp_path) as own:
            remove_abandoned(tmp_path)
            remove_abandoned(tmp_path, alone=True)
            assert (part / "half").exists() and own.is_dir()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert part.is_dir() and not own.exists()
    remove_abandoned(tmp_path)
    assert os.listdir(tmp_path) == []


def test_only_folders_of_ours_are_removed(tmp_path):
    for name in (f"{PART}abcdefgh", f"{PART}Photos 2024", "part-abcdefgh", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / f"{PART}linked12").symlink_to(tmp_path / "kept")
    (tmp_path / f"{PART}filefile").write_text("")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{PART}abcdefgh").mkdir()
    remove_abandoned(tmp_path)
    left = {"deep", "kept", "part-abcdefgh", f"{PART}Photos 2024", f"{PART}linked12", f"{PART}filefile"}
    assert set(os.listdir(tmp_path)) == left and (tmp_path / "kept" / "file").exists()
    assert os.listdir(tmp_path / "deep") == [f"{PART}abcdefgh"]
    remove_abandoned(tmp_path, alone=True)
    assert os.listdir(tmp_path / "deep") == []
    remove_abandoned(tmp_path / "missing")


def test_what_was_moved_aside_goes_back_where_its_name_is_free(tmp_path):
    for number, name in enumerate(("lost", "there")):
        aside = tmp_path / f"{PART}aside{number}" / OLD / name
        aside.mkdir(parents=True)
        (aside / "file").write_text("old")
    (tmp_path / "there").mkdir()
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["lost", "there"]
    assert (tmp_path / "lost" / "file").read_text() == "old" and os.listdir(tmp_path / "there") == []


def test_without_locks_of_folders_only_who_is_alone_removes(tmp_path, monkeypatch):
    def flock(handle: int, how: int) -> None:
        raise OSError(9, "Bad file descriptor")  # as NFS says for a handle that is open for reading

    monkeypatch.setattr(unfinished.fcntl, "flock", flock)
    with part_folder(tmp_path) as part:
        remove_abandoned(tmp_path)
        assert part.is_dir()
    (tmp_path / f"{PART}abcdefgh").mkdir()
    remove_abandoned(tmp_path)
    assert os.listdir(tmp_path) == [f"{PART}abcdefgh"]
    remove_abandoned(tmp_path, alone=True)
    assert os.listdir(tmp_path) == []


def test_writers_and_cleaners_at_once_lose_nothing(tmp_path):
    stop, failures = threading.Event(), []

    def clean() -> None:
        while not stop.is_set():
            remove_abandoned(tmp_path)

    def write(name: str) -> None:
        try:
            for turn in range(100):
                with atomic_write(tmp_path / name) as part:
                    part.write_text(f"{turn}")
                    time.sleep(0)
        except BaseException as error:
            failures.append(error)

    cleaners = [threading.Thread(target=clean) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(f"file{i}",)) for i in range(3)]
    for thread in (*cleaners, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in cleaners:
        thread.join()
    assert not failures and {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"file{i}": "99" for i in range(3)
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux's")
def test_two_names_are_exchanged(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    assert exchange(tmp_path / "one", tmp_path / "other")
    assert os.listdir(tmp_path / "one") == ["other"] and os.listdir(tmp_path / "other") == ["one"]
    assert not exchange(tmp_path / "one", tmp_path / "missing") and os.listdir(tmp_path / "one") == ["other"]
