"""Mutated inputs of every kind: none ends in a traceback, a hang, much memory, or touches a file outside."""

from __future__ import annotations

import tempfile

import pytest

from tools import fuzz

CASES = {("bench", "sidecars", "students", "recipes"): 150, ("images", "npz"): 20}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def fuzzed(kinds: tuple[str, ...], *options: str) -> int:
    return fuzz.main([*(word for kind in kinds for word in ("--what", kind)), *options])


@pytest.mark.parametrize("kinds", CASES, ids=" ".join)
def test_some(kinds):
    assert fuzzed(kinds, "--seed", "3", "--cases", str(CASES[kinds]), "--jobs", "1") == 0


@pytest.mark.slow
def test_a_thousand():
    assert fuzzed((), "--seed", "1", "--cases", "1000") == 0
