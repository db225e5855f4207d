"""`edgekit distill` and `edgekit evaluate`: what they hand on, print and exit with. Real runs: tests/pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.cli.main import main

RECIPE = "name: short\ndata: {source: scenes}\ntasks: {depth: {}}\n"


def result_of(holds: bool = True) -> dict:
    return {
        "run": "runs/short-1",
        "split": "val",
        "trial": {"labelled": 2, "held_back": 0},
        "scores": {"student": {"depth": {"absrel": 0.12}}},
        "cells": {"depth": (["model", "AbsRel"], [["ensemble", "0.1000"], ["student, distilled", "0.1200"]])},
        "retention": {"semantic": 0.987, "depth": 1.2},
        "requirements": [{"name": "at most 9 parameters", "holds": holds, "found": "7"}],
        "student": "runs/short-1/student.pt",
        "parameters": 123456,
        "bad_files": [{"split": "train", "name": "3", "where": "train/images/3.png", "reason": "truncated"}],
        "table": "runs/short-1/table.md",
        "pictures": ["runs/short-1/pictures/depth-val.png"],
        "target_bytes_per_frame": 4321,
        "members": 16,
        "passes": 12,
        "ensemble": "12 passes of networks and 4 votes of external members",
        "seconds": {"trial": 90.0, "teacher 1": 120.0, "this command": 3600.0},
    }


@pytest.fixture
def asked(monkeypatch) -> list:
    """What the pipeline was asked; it answers at once."""
    pytest.importorskip("edgekit.pipeline.run")
    asked = []
    monkeypatch.setattr(
        "edgekit.pipeline.run.distill_run",
        lambda run, baseline, jobs, track: asked.append((run, baseline)) or result_of(),
    )
    monkeypatch.setattr(
        "edgekit.pipeline.run.evaluate_run", lambda run, split: asked.append((run, split)) or result_of()
    )
    return asked


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_becomes_a_run_in_the_folder_of_runs(recipe, asked, tmp_path, capsys):
    assert main(["distill", str(recipe), "--out", str(tmp_path / "out"), "--set", "student.width=48"]) == 0
    ((run, baseline),) = asked
    assert run.folder.parent == tmp_path / "out" and run.folder.name.startswith("short-")
    assert run.recipe.student.width == 48 and run.base == tmp_path and baseline is True
    assert main(["distill", str(recipe), "--out", str(tmp_path / "out"), "--no-baseline"]) == 0
    assert asked[1][1] is False and asked[1][0].folder != run.folder


def test_the_text_tells_where_everything_is(recipe, asked, capsys):
    assert main(["distill", str(recipe)]) == 0
    out = capsys.readouterr().out
    for part in (
        "AbsRel",
        "0.1200",
        "semantic 98.7%, depth 120.0%",
        "holds: at most 9 parameters (7)",
        "123,456 parameters",
        "12 passes of networks and 4 votes",
        "3.png: truncated",
        "trial 1.5, teacher 1 2.0, this command 60.0",
    ):
        assert part in out
    for path in ("runs/short-1/student.pt", "runs/short-1/table.md", "depth-val.png", "4,321 bytes per frame"):
        assert path in out


def test_a_failed_requirement_exits_with_1_after_the_whole_output(recipe, asked, monkeypatch, capsys):
    monkeypatch.setattr("edgekit.pipeline.run.distill_run", lambda run, **_: result_of(holds=False))
    assert main(["distill", str(recipe)]) == 1
    assert "FAILS: at most 9 parameters" in capsys.readouterr().out
    assert main(["distill", str(recipe), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["requirements"][0]["holds"] is False


def test_a_run_is_continued_by_its_folder(recipe, asked, tmp_path, capsys):
    from edgekit.pipeline.run import Run
    from edgekit.recipe.load import load_recipe
    from edgekit.recipe.schema import Recipe

    run = Run.of(load_recipe(Recipe, recipe, ["seed=3"]), recipe.parent, tmp_path / "out")
    run.begin()
    assert main(["distill", str(run.folder)]) == 0
    assert asked[0][0] == Run(run.folder, run.recipe, tmp_path.resolve())
    assert main(["evaluate", str(run.folder), "--split", "test", "--json"]) == 0
    assert asked[1] == (asked[0][0], "test")
    assert main(["evaluate", str(run.folder)]) == 0
    assert asked[2][1] == "val"
    assert "runs/short-1/table.md" in capsys.readouterr().out.splitlines()[-2]


def test_a_run_cannot_be_given_another_recipe(asked, tmp_path, capsys):
    assert main(["distill", str(tmp_path), "--set", "seed=1"]) == 2
    assert "--set" in capsys.readouterr().err
    assert main(["distill", str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize("command", ["distill", "evaluate", "students"])
def test_help_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"Example: edgekit {command}" in capsys.readouterr().out
