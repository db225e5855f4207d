"""`edgekit recipe show` and `check`: what they call and what they print."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from edgekit.cli.main import main
from edgekit.data.check import Report, SplitCount


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    width: int = 16


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    """A recipe file, and a small schema in place of the real one."""
    schema = types.ModuleType("edgekit.recipe.schema")
    schema.Recipe = Recipe
    monkeypatch.setitem(sys.modules, "edgekit.recipe.schema", schema)
    path = tmp_path / "r.yaml"
    path.write_text("title: a\n")
    return path


def test_show_prints_the_resolved_recipe(recipe, capsys):
    assert main(["recipe", "show", str(recipe), "--set", "width=32"]) == 0
    assert capsys.readouterr().out == "title: a\nwidth: 32\n"
    assert main(["recipe", "show", str(recipe), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"title": "a", "width": 16}


def test_a_wrong_override_exits_with_2(recipe, capsys):
    assert main(["recipe", "show", str(recipe), "--set", "wdith=32"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "did you mean 'width'?" in err
    assert main(["recipe", "show", str(recipe), "--set", "wdith=32", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "--set wdith=32: wdith"


@pytest.mark.parametrize("name", ["show", "check"])
def test_help_has_an_example(name, capsys):
    assert main(["recipe", name, "--help"]) == 0
    assert f"Example: edgekit recipe {name} recipes/" in capsys.readouterr().out


def test_check_reads_the_data_behind_the_recipe(recipe, capsys, monkeypatch):
    asked = []

    def check(recipe, base, progress):
        asked.append((recipe, base))
        progress(1, 1)
        return Report(splits={"train": SplitCount(3, 2)}, missing={"depth": 1})

    monkeypatch.setattr("edgekit.data.check.check", check, raising=False)
    assert main(["recipe", "check", str(recipe), "--set", "width=3", "--json"]) == 0
    out, err = capsys.readouterr()
    assert Report.from_json(json.loads(out)).splits["train"] == SplitCount(3, 2)
    assert asked == [(Recipe(title="a", width=3), recipe.parent)]
    assert main(["recipe", "check", str(recipe)]) == 0
    out, err = capsys.readouterr()
    assert "train" in out and "frames without it" in out and "reading frames" not in err  # no terminal
