"""Mutated inputs of every kind: none ends in a traceback, a hang, much memory, or touches a file outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = [(3, 300), pytest.param(1, 1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("seed", "cases"), CASES)
def test_mutated_inputs_of_every_kind(tmp_path, seed, cases):
    """In a process of its own: a fork of this one, whose tests have computed with threads, would wait for theirs."""
    command = [sys.executable, "-m", "tools.fuzz", "--seed", str(seed), "--cases", str(cases), "--jobs", "1"]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cases} cases of seed {seed}" in done.stdout and "\n0 cases fail" in done.stdout
