"""`edgekit data convert`, and the shipped recipe of Dronescapes on what has its layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.main import main
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
WORLD = """\
name: world
data: {source: scenes, seed: 9, size: [32, 48], scenes: {train: 1, val: 0, test: 1}, frames_per_scene: 2}
tasks: {semantic: {}, depth: {}}
evaluate: {split: test}
"""


@pytest.fixture
def world(tmp_path) -> Path:
    path = tmp_path / "world.yaml"
    path.write_text(WORLD)
    return path


def test_converted_data_is_data(world, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["data", "convert", str(world), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == {"train_set": 2, "test_set": 2} and told["written"] == 4 * 9
    assert "rgb" in told["tasks"] and told["bad_files"] == []
    (tmp_path / "back.yaml").write_text(
        WORLD.split("data:")[0] + "data: {source: dronescapes, root: out}\n" + WORLD[WORLD.index("tasks") :]
    )
    assert main(["recipe", "check", str(tmp_path / "back.yaml"), "--json"]) == 0
    back = json.loads(capsys.readouterr().out)
    assert main(["recipe", "check", str(world), "--json"]) == 0
    assert back["shares"] == json.loads(capsys.readouterr().out)["shares"]
    assert main(["data", "convert", str(world), "--out", str(out)]) == 0
    assert "36 there already" in capsys.readouterr().out


def test_some_tasks_under_other_names(world, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--task", "rgb", "--task", "edges", "--rename", "edges=edges_mine", "--no-compress", "--json"]
    assert main(["data", "convert", str(world), "--out", str(out), *options]) == 0
    assert sorted(p.name for p in (out / "test_set").iterdir()) == ["edges_mine", "rgb"]
    for wrong in (["--rename", "edges"], ["--task", "nowhere"]):
        assert main(["data", "convert", str(world), "--out", str(tmp_path / "x"), *wrong, "--json"]) == 2
    error = json.loads(capsys.readouterr().out.split("\n}\n")[-2] + "\n}")["error"]
    assert "no 'nowhere'" in error["what"] and "rgb" in error["fix"]


@pytest.mark.parametrize("recipe", ["dronescapes.yaml", "dronescapes_150k.yaml"])
def test_the_shipped_recipe_checks_data_as_published(recipe, tmp_path, capsys):
    """Every modality that the recipe lists is found in the published folders, or computed."""
    model = load_recipe(Recipe, RECIPES / recipe)
    rng = np.random.default_rng(0)
    for where, frame in (("train_set", "slanic_1"), ("validation_set", "slanic_7"), ("test_set", "norway_1")):
        for name in {*model.tasks, *model.teacher.modalities} - {"hsv", "edges"}:
            if name == "rgb":
                array = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            elif name.startswith("semantic"):
                array = rng.integers(0, 8, (6, 8)).astype(np.uint16)
            elif name.startswith("depth"):
                array = rng.uniform(0.1, 0.9, (6, 8, 1)).astype(np.float16)
            elif name.startswith("normals"):
                array = np.full((6, 8, 3), [0.5, 0.5, 0], np.float16)
            else:
                array = rng.random((6, 8)) < 0.5
            folder = tmp_path / where / name
            folder.mkdir(parents=True)
            np.savez(folder / f"{frame}.npz", array)
    (tmp_path / "train_set" / "depth_sfm_manual202204" / "slanic_1.npz").unlink()
    assert main(["recipe", "check", str(RECIPES / recipe), "--set", f"data.root={tmp_path}", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {split: count["frames"] for split, count in report["splits"].items()} == {"train": 1, "val": 1, "test": 1}
    assert report["missing"]["depth_sfm_manual202204"] == 1 and report["missing"]["buildings(nearby)"] == 0
    assert model.distill.train.crop == (540, 960) and model.student.name in ("safeuav-430k", "safeuav-150k")


def test_a_folder_nobody_describes_is_explained_when_it_is_asked_for(tmp_path, capsys):
    for name in ("rgb", "semantic_coco"):
        (tmp_path / "train_set" / name).mkdir(parents=True)
        np.savez(tmp_path / "train_set" / name / "a_1.npz", np.zeros((4, 4, 3), np.uint8))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\ndata: {{source: dronescapes, root: {tmp_path}}}\ntasks: {{semantic_coco: {{}}}}\n")
    assert main(["recipe", "check", str(recipe), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "there is a folder 'semantic_coco'" in error["fix"] and "data.tasks" in error["fix"]
