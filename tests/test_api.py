"""What `import edgekit` offers: functions that are rooms too, and what a call refuses before any work."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit
from edgekit import api


def test_a_room_is_also_the_function_of_its_name(monkeypatch):
    import edgekit.export.config as config

    asked = []
    for name in ("distill", "evaluate", "export"):
        monkeypatch.setattr(api, name, lambda *given, name=name, **options: asked.append((name, given, options)))
        getattr(edgekit, name)("uav", split="val")
    assert asked == [(name, ("uav",), {"split": "val"}) for name in ("distill", "evaluate", "export")]
    assert edgekit.export.config is config


def test_importing_edgekit_imports_nothing_heavy():
    code = "import sys, edgekit; edgekit.distill; edgekit.EdgekitError; print(*sys.modules)"
    found = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"torch", "numpy", "pydantic", "edgekit.api"} & set(found) and "edgekit.distill" in found


def test_what_type_checkers_see_is_there():
    tree = ast.parse(Path(edgekit.__file__).read_text(encoding="utf-8"))
    promised = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgekit.")
        for alias in node.names
    ]
    assert {"distill", "evaluate", "export", "load", "DistillResult", "EdgekitError"} <= set(promised)
    for name in promised:
        assert callable(getattr(edgekit, name)) and inspect.getdoc(getattr(edgekit, name))
    assert (Path(edgekit.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        edgekit.train  # noqa: B018 - the access is what is tested


def test_overrides_are_values_or_texts():
    given = {"data.root": Path("/x/run #3"), "student.width": 48, "teacher.modalities": ["rgb", "no"], "name": "a: b"}
    assert api._texts(given) == [
        *('data.root="/x/run #3"', "student.width=48", 'teacher.modalities=["rgb", "no"]', 'name="a: b"'),
    ]
    assert api._texts(("student.width=48",)) == ["student.width=48"]


def test_what_is_refused(tmp_path):
    with pytest.raises(edgekit.EdgekitError, match="there is no run or bundle here"):
        edgekit.evaluate(tmp_path / "nowhere")
    with pytest.raises(edgekit.EdgekitError, match="--threads applies to bundles only"):
        edgekit.evaluate(tmp_path, threads=2)
    with pytest.raises(edgekit.EdgekitError, match="--set changes a recipe"):
        edgekit.distill(tmp_path, overrides={"seed": 1})
    with pytest.raises(edgekit.EdgekitError, match=r"unknown key 'wdith'"):
        edgekit.distill("uav", overrides={"student.wdith": 48})
    with pytest.raises(edgekit.EdgekitError, match="no such run or student"):
        edgekit.export(tmp_path / "nowhere")
