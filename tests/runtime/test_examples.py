"""The examples of the documentation run, without torch, and stay short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from edgekit.frames.images import write_png

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_camera_to_class_map(tiny_bundle, tmp_path):
    red = np.zeros((60, 90, 3), np.uint8)
    red[..., 0] = 255
    write_png(tmp_path / "a.png", red)
    script = EXAMPLES / "landing.py"
    code = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['onnx'] = None; path = sys.argv.pop(1)\n"
        "runpy.run_path(path, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(script), str(tiny_bundle), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "red 100%"
    assert len(script.read_text().splitlines()) < 40
