"""A TensorRT that is missing, hidden, broken or too old."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = "from edgekit.runtime.tensorrt import module\n{before}\nmodule.import_tensorrt()"


def said(path, monkeypatch, before: str = "") -> str:
    monkeypatch.setenv("PYTHONPATH", ":".join([str(path), *filter(None, sys.path)]))
    code = LOAD.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "EdgekitError" in done.stderr, done.stderr
    return done.stderr


def test_missing(tmp_path, monkeypatch):
    text = said(tmp_path, monkeypatch, "module.SYSTEM_PACKAGES = ()")
    assert "TensorRT's Python module is not installed" in text and "python3-libnvinfer" in text


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("sys.base_prefix = '/elsewhere'", "this virtual environment hides the system's TensorRT"),
        ("sys.base_prefix = sys.prefix", "does not see the system's TensorRT"),
    ],
)
def test_hidden_by_a_virtual_environment(tmp_path, monkeypatch, prefix, text):
    package = tmp_path / "python3.10/dist-packages/tensorrt"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    folders = (str(tmp_path / "python3*/dist-packages").lstrip("/"),)
    found = said(tmp_path, monkeypatch, f"import sys\n{prefix}\nmodule.SYSTEM_PACKAGES = {folders!r}")
    assert text in found and "--system-site-packages" in found


def test_broken(tmp_path, monkeypatch):
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    assert "cannot be loaded: libnvinfer.so.10" in said(tmp_path, monkeypatch)


def test_too_old(tmp_path, monkeypatch):
    (tmp_path / "tensorrt.py").write_text("__version__ = '8.2.1'\nclass IExecutionContext: pass")
    text = said(tmp_path, monkeypatch)
    assert "TensorRT 8.2.1 is too old: edgekit needs 8.5 or newer" in text and "Nano and TX2" in text
