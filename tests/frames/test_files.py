"""Files are whole or absent."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, cache_folder, make_cache, sha256

LIMITED = """
import resource, sys
from edgekit.frames.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with atomic_write(sys.argv[1]) as part:
    part.write_bytes(bytes(2000))
"""


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder" / "a.txt"
    with atomic_write(target) as part:
        part.write_text("hello")
        assert not target.exists()
        assert list(target.parent.glob("*.txt")) == []
    assert target.read_text() == "hello"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(target) as part:
        part.write_text("ha")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_no_room_is_told_and_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.bin"
    target.write_text("old")
    command = [sys.executable, "-c", LIMITED, str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "WriteError: the disk is full" in done.stderr and str(tmp_path) in done.stderr
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgekitError, match="cannot write") as caught, atomic_write(tmp_path / "file" / "a.txt"):
        pass
    assert caught.value.where.startswith(str(tmp_path / "file")) and "another place" in caught.value.fix


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_place_that_takes_no_files_is_told(tmp_path):
    for path, where in ((Path("/proc/x/a.txt"), "/proc/x"), (tmp_path / ("x" * 300) / "a.txt", str(tmp_path))):
        with pytest.raises(EdgekitError, match="cannot write") as caught, atomic_write(path):
            pass
        # Commands name their output by different options.
        assert caught.value.where.startswith(where) and "--" not in caught.value.fix
    with pytest.raises(EdgekitError, match="cannot write: File name too long"), atomic_write(tmp_path / ("x" * 300)):
        pass


def test_another_file_that_is_missing_is_no_refusal(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "out" / "a.txt"):
        (tmp_path / "missing" / "input.txt").read_text()


def test_an_existing_file_is_replaced(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("a longer old text")
    with atomic_write(str(target)) as part:
        part.write_text("new")
    assert target.read_text() == "new"


def test_writers_that_look_at_the_suffix_work(tmp_path):
    with atomic_write(tmp_path / "a.npz") as part:
        np.savez(part, x=np.arange(3))
    assert np.load(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]


def test_permissions_follow_the_umask(tmp_path):
    with atomic_write(tmp_path / "atomic") as part:
        part.write_text("")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("size", [0, 5, (1 << 20) + 3])
def test_sha256(tmp_path, size):
    content = bytes(i % 251 for i in range(size))
    (tmp_path / "f").write_bytes(content)
    assert sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def caches(tmp_path: Path, **environment: str) -> list[str]:
    """What a process of user 54321, who is not in passwd, calls its cache in this environment; then what ~/x is."""
    code = (
        "import os, pwd, sys\n"
        "from edgekit.frames.files import cache_folder, expand_home\n"
        "os.setgid(54321), os.setuid(54321)\n"
        "print(cache_folder())\n"
        "try:\n    print(expand_home('~/x'))\nexcept Exception as error:\n    print(type(error).__name__, error)"
    )
    settings = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=settings | environment, capture_output=True, text=True, check=True)
    return done.stdout.split("\n", 1)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs to become another user")
def test_a_user_without_a_home_folder_has_a_cache_all_the_same(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o777)
    temporary = str(tmp_path / "edgekit-54321")
    cache, home = caches(tmp_path)  # not in passwd, and HOME unset
    assert cache == temporary and home.startswith("EdgekitError") and "set HOME" in home
    for nowhere in ("/", "", "/root", "/nowhere/at/all"):
        assert caches(tmp_path, HOME=nowhere)[0] == temporary, nowhere
    (tmp_path / "home").mkdir(mode=0o777)
    (tmp_path / "home").chmod(0o777)
    cache, home = caches(tmp_path, HOME=str(tmp_path / "home"))
    assert cache == str(tmp_path / "home" / ".cache" / "edgekit") and home.strip() == str(tmp_path / "home" / "x")
    assert caches(tmp_path, EDGEKIT_CACHE="/given", HOME="/")[0] == "/given"
    Path(temporary).mkdir()  # by somebody else
    assert caches(tmp_path)[0].startswith(f"{temporary}-")


def test_where_home_is_no_folder_the_cache_is_a_temporary_one(tmp_path, monkeypatch):
    """For the user who runs this, root or not."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("EDGEKIT_CACHE", raising=False)
    for nowhere in ("/", ""):
        monkeypatch.setenv("HOME", nowhere)
        assert cache_folder() == tmp_path / f"edgekit-{os.getuid()}", nowhere
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "edgekit"


def test_a_cache_that_is_denied_names_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "cache", Path("/proc/cache")):
        monkeypatch.setenv("EDGEKIT_CACHE", str(place))
        with pytest.raises(EdgekitError, match="the cache cannot be written") as caught:
            make_cache(cache_folder() / "bundles")
        assert "EDGEKIT_CACHE" in caught.value.fix and str(place) in caught.value.where
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "good"))
    assert make_cache(cache_folder() / "bundles").is_dir() and make_cache(cache_folder() / "bundles").is_dir()
