"""Checkpoints: whole or absent whatever happens, and refused when damaged."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.training.checkpoint import Latest, load, save


def state(value: float) -> dict:
    return {"network": {"w": torch.full((50,), value)}, "ema_updates": int(value)}


class Killed(BaseException):
    """Not an Exception: nothing may catch it and go on."""


def test_what_was_saved_comes_back(tmp_path):
    digest = save(tmp_path / "deep" / "a.pt", state(3))
    found = load(tmp_path / "deep" / "a.pt", digest)
    assert torch.equal(found["network"]["w"], torch.full((50,), 3.0)) and found["ema_updates"] == 3


def test_missing_and_changed_files_are_refused(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(EdgekitError, match="missing") as caught:
        load(path)
    assert caught.value.where == str(path)
    digest = save(path, state(1))
    save(path, state(2))
    with pytest.raises(EdgekitError, match="checksum"):
        load(path, digest)


@settings(max_examples=60)
@given(data=st.data())
def test_damage_is_an_edgekit_error_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "a.pt"
    save(path, state(1))
    content = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip", "garbage"]))
    if kind == "cut":
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    elif kind == "flip":
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        content = data.draw(st.binary(max_size=200))
    path.write_bytes(content)
    try:
        load(path)
    except EdgekitError as error:
        assert error.where == str(path)


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"network": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(EdgekitError, match="cannot be read"):
        load(tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


def test_only_the_newest_is_kept(tmp_path):
    latest = Latest(tmp_path)
    assert latest.load() is None
    for step in (1, 2, 7):
        latest.save(step, state(step))
        assert latest.load()["step"] == step
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.json", "step-7.pt"]
    latest.clear()
    assert list(tmp_path.iterdir()) == [] and latest.load() is None


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_kill_at_any_write_leaves_the_old_state_or_the_new_one(tmp_path, monkeypatch, call, nth):
    latest = Latest(tmp_path)
    latest.save(1, state(1))
    real, calls = getattr(os, call), []

    def dying(*args):
        calls.append(args)
        if len(calls) == nth:
            raise Killed
        return real(*args)

    monkeypatch.setattr(os, call, dying)
    with pytest.raises(Killed):
        latest.save(2, state(2))
    monkeypatch.undo()
    assert Latest(tmp_path).load()["step"] == 1
    latest.save(3, state(3))  # life goes on, and what the kill orphaned is cleared away
    assert Latest(tmp_path).load()["step"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.json", "step-3.pt"]


def test_a_kill_after_the_pointer_leaves_the_new_state(tmp_path, monkeypatch):
    latest = Latest(tmp_path)
    latest.save(1, state(1))

    def dying(*args, **options):
        raise Killed

    monkeypatch.setattr("pathlib.Path.unlink", dying)
    with pytest.raises(Killed):
        latest.save(2, state(2))
    monkeypatch.undo()
    assert Latest(tmp_path).load()["step"] == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"file": "step-1.pt"}', "\xff"])
def test_a_damaged_pointer_is_refused_and_can_be_cleared(tmp_path, text):
    latest = Latest(tmp_path)
    latest.save(1, state(1))
    (tmp_path / "latest.json").write_text(text, encoding="latin-1")
    with pytest.raises(EdgekitError, match="pointer is damaged") as caught:
        latest.load()
    assert caught.value.where.endswith("latest.json")
    latest.clear()
    assert latest.load() is None


def test_a_checkpoint_that_is_not_what_the_pointer_says_is_refused(tmp_path):
    latest = Latest(tmp_path)
    latest.save(1, state(1))
    save(tmp_path / "step-1.pt", state(9))
    with pytest.raises(EdgekitError, match="checksum"):
        latest.load()
    (tmp_path / "step-1.pt").unlink()
    with pytest.raises(EdgekitError, match="missing"):
        latest.load()
