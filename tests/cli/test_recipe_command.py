"""`edgekit recipe show` and `check`: what they call and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.cli.main import main
from edgekit.data.check import DataReport, SplitCount
from edgekit.pipeline.scales import with_scales
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text("name: a\ndata: {source: scenes}\ntasks: {semantic: {}}\n")
    return path


def test_show_prints_the_resolved_recipe(recipe, tmp_path, capsys):
    assert main(["recipe", "show", str(recipe), "--set", "student.width=48"]) == 0
    shown = tmp_path / "shown.yaml"
    shown.write_text(capsys.readouterr().out)
    assert load_recipe(Recipe, shown) == load_recipe(Recipe, recipe, ["student.width=48"])
    assert main(["recipe", "show", str(recipe), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "a" and Recipe.model_validate(found) == load_recipe(Recipe, recipe)


def test_a_wrong_override_exits_with_2(recipe, capsys):
    assert main(["recipe", "show", str(recipe), "--set", "student.wdith=32"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "did you mean 'width'?" in err
    assert main(["recipe", "show", str(recipe), "--set", "sede=32", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "--set sede=32: sede"


@pytest.mark.parametrize("name", ["show", "check"])
def test_help_has_an_example(name, capsys):
    assert main(["recipe", name, "--help"]) == 0
    assert f"Example: edgekit recipe {name} recipes/" in capsys.readouterr().out


def test_check_reads_the_data_behind_the_recipe(recipe, capsys, monkeypatch):
    asked = []

    def check(recipe, base):
        asked.append((recipe, base))
        return DataReport(splits={"train": SplitCount(3, 2)}, missing={"depth": 1}), with_scales(recipe, (400, 600))

    monkeypatch.setattr("edgekit.pipeline.workbench.check_data", check)
    assert main(["recipe", "check", str(recipe), "--set", "seed=3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert DataReport.from_json(said).splits["train"] == SplitCount(3, 2)
    assert said["scales"] == {"student": 0.6, "teachers": [0.6, 1.44], "ensemble": [0.849, 0.6, 1.2]}
    assert asked == [(load_recipe(Recipe, recipe, ["seed=3"]), recipe.parent)]
    assert main(["recipe", "check", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert "train" in out and "frames without it" in out and "seen at 0.6 of their size by the student" in out
    assert "Licence of the data: not stated" in out and "Attribution" not in out
    stated = ["--set", "data.licence=CC BY 4.0 [/x]", "--set", "data.attribution=The surveyors"]
    assert main(["recipe", "check", str(recipe), *stated]) == 0
    assert "Licence of the data: CC BY 4.0 [/x]\nAttribution: The surveyors\n" in capsys.readouterr().out
    assert main(["recipe", "check", str(recipe), *stated, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["licence"], said["attribution"]) == ("CC BY 4.0 [/x]", "The surveyors")


def test_the_recipes_that_come_with_edgekit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["recipes"]}
    assert {"uav", "semantic_drone"} <= set(rows) and Path(rows["uav"]["file"]).is_file()
    assert main(["recipe", "list"]) == 0
    assert all(f"{name} " in line for name, line in zip(rows, capsys.readouterr().out.splitlines(), strict=True))
    assert main(["recipe", "show", "uav"]) == 0
    shown = capsys.readouterr().out
    assert main(["recipe", "copy", "uav", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": ["uav.yaml"]}
    assert main(["recipe", "show", "uav.yaml"]) == 0
    assert capsys.readouterr().out == shown
    assert main(["recipe", "copy", "uav"]) == 2
    assert "there is a uav.yaml already" in capsys.readouterr().err
    assert main(["distill", "uva"]) == 2
    assert "did you mean 'uav'?" in capsys.readouterr().err
