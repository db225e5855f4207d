"""docs/remote.md: its example is run line by line, against a board that is this machine."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.main import main
from edgekit.frames.images import write_png
from edgekit.remote import checklist

PAGE = Path(__file__).parents[2] / "docs" / "remote.md"
(EXAMPLE,) = re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_is_one_screen():
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 50


@pytest.mark.slow
def test_the_example_runs(sshd, jetson_bundle, tmp_path, monkeypatch):
    """But for the installation, which test_install.py runs, and the long checklist."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checklist, "items", lambda soak: [("edgekit bundle verify uav", (0,))])
    (tmp_path / "bundles").mkdir()
    jetson_bundle.rename(tmp_path / "bundles" / "uav")
    (tmp_path / "flight").mkdir()
    write_png(tmp_path / "flight" / "a.png", np.zeros((64, 96, 3), np.uint8))
    lines = [shlex.split(line)[1:] for line in EXAMPLE.splitlines()]
    assert lines.pop(1) == ["board", "install", "orin"]
    lines[0] = [*lines[0][:3], "board", "--folder", str(sshd.folder)]
    sshd.pretend_installed()
    for words in lines:
        assert main(words) == 0, words
    made = {path.name for path in tmp_path.iterdir()}
    assert made >= {"orin.json", "overlays", "edgekit-report-orin.tar.gz"}
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == ["a.jpg"]
