"""The example that docs/data.md begins with: its commands one after the other, on a few frames and steps."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from edgekit.cli.main import main
from edgekit.extract.config import Pipeline
from edgekit.recipe.load import load_recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text()
LINES = re.search(r"```\n(python examples/flight.*?)```", PAGE, re.DOTALL)[1].splitlines()
COMMANDS = [line.partition("#")[0] for line in LINES]
FEW = ("teacher.train.steps=2", "distill.train.steps=2", "evaluate.pictures=0")


def test_the_example_shows_every_kind_of_derived_map():
    from edgekit.data.derived.registry import DERIVATIONS

    tasks = load_recipe(Pipeline, ROOT / "examples" / "flight" / "pipeline.yaml").extract.tasks
    assert {task.derive for task in tasks.values() if hasattr(task, "derive")} == set(DERIVATIONS)


@pytest.mark.slow
def test_its_commands_lead_from_films_to_a_bundle(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made, extracted, distilled, exported = (shlex.split(command) for command in COMMANDS)
    monkeypatch.setattr(sys, "argv", [*made[1:], "--frames", "4"])
    runpy.run_path(str(ROOT / made[1]), run_name="__main__")
    capsys.readouterr()
    assert main([*extracted[1:], "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["tasks"]
    assert written["rgb"]["written"] == 8 and written["flow"]["written"] == 6
    assert main([*distilled[1:], *(word for change in FEW for word in ("--set", change)), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]["student"]
    assert scores["semantic_output"].keys() >= {"miou"} and scores["depth"].keys() >= {"absrel"}
    (run,) = tmp_path.glob(exported[2])
    assert main(["export", str(run), *exported[3:], "--no-metrics", "--json"]) == 0
    assert (tmp_path / "flight" / "bundle" / "manifest.json").exists()
