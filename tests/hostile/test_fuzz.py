"""Mutated inputs of every kind: none ends in a traceback, a hang, much memory, or touches a file outside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

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
    """In a process of its own: a fork of this one, whose tests have computed with threads, would wait for theirs."""
    command = [sys.executable, "-m", "tools.fuzz", "--seed", "1", "--cases", "1000"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
