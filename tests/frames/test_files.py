"""Files are whole or absent."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from edgekit.frames.files import atomic_write, sha256


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
