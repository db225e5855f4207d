"""Checkpoints: whole or absent whatever happens, and refused when damaged."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.training.checkpoint import load_checkpoint, save_checkpoint


def state(value: float) -> dict:
    return {"network": {"w": torch.full((50,), value)}, "updates": int(value)}


class Killed(BaseException):
    """Not an Exception: nothing may catch it and go on."""


def test_what_was_saved_comes_back(tmp_path):
    save_checkpoint(tmp_path / "deep" / "a.pt", state(3))
    found = load_checkpoint(tmp_path / "deep" / "a.pt")
    assert torch.equal(found["network"]["w"], torch.full((50,), 3.0)) and found["updates"] == 3


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(EdgekitError, match="missing") as caught:
        load_checkpoint(path)
    assert caught.value.where == str(path)


@settings(max_examples=60)
@given(data=st.data())
def test_damage_is_an_edgekit_error_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "a.pt"
    save_checkpoint(path, state(1))
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
        load_checkpoint(path)
    except EdgekitError as error:
        assert error.where == str(path)


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"network": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(EdgekitError, match="cannot be read"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_kill_at_any_write_leaves_the_old_state(tmp_path, monkeypatch, call):
    path = tmp_path / "a.pt"
    save_checkpoint(path, state(1))

    def dying(*args):
        raise Killed

    monkeypatch.setattr(os, call, dying)
    with pytest.raises(Killed):
        save_checkpoint(path, state(2))
    monkeypatch.undo()
    assert load_checkpoint(path)["updates"] == 1
    save_checkpoint(path, state(3))
    assert load_checkpoint(path)["updates"] == 3 and [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_flipped_bit_anywhere_in_a_tensor_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, state(1.0))
    whole = path.read_bytes()
    begin = whole.index(torch.full((50,), 1.0).numpy().tobytes())
    for place in range(begin, begin + 200, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(EdgekitError, match="checksum"):
            load_checkpoint(path)
