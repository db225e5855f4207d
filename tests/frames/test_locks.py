"""One at a time in a folder, seen from another process that knows nothing of edgekit."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from edgekit.errors import EdgekitError
from edgekit.frames.locks import LOCK, locked, take_lock

TRY = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


def is_free(folder) -> bool:
    done = subprocess.run([sys.executable, "-c", TRY, str(folder / LOCK)], stderr=subprocess.DEVNULL)
    return done.returncode == 0


def test_it_is_held_for_the_length_of_the_block(tmp_path):
    folder = tmp_path / "new" / "folder"
    with locked(folder, "taken"):
        assert not is_free(folder)
    assert is_free(folder)
    with pytest.raises(ZeroDivisionError), locked(folder, "taken"):
        raise ZeroDivisionError
    assert is_free(folder)


def test_another_process_is_refused_and_what_it_wrote_stays(tmp_path):
    half = tmp_path / "deep" / ".part-abc"
    half.mkdir(parents=True)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / LOCK)], stdin=-1, stdout=-1, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(EdgekitError, match="somebody is here") as caught,
            locked(tmp_path, "somebody is here", fix="go elsewhere"),
        ):
            pass
        assert caught.value.where == str(tmp_path) and caught.value.fix == "go elsewhere"
        assert half.exists()
    finally:
        holder.communicate("\n", timeout=60)
    with locked(tmp_path, "somebody is here"):
        assert not half.exists()


@pytest.mark.parametrize(("patience", "got"), [(0.0, False), (60.0, True)])
def test_patience(tmp_path, patience, got):
    with open(tmp_path / "file", "w") as first, open(tmp_path / "file") as second:
        assert take_lock(first.fileno())
        if patience:
            threading.Timer(0.3, first.close).start()
        assert take_lock(second.fileno(), patience) == got
