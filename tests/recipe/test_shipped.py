"""Recipes by name: what a name means, what a copy holds, and that a file of the user's own comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import EdgekitError
from edgekit.recipe.load import find_recipe, load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.recipe.shipped import about, copy, folder, locate, shipped_recipes

RECIPES = Path(__file__).parents[2] / "recipes"


def test_they_are_those_of_the_folder_recipes():
    assert shipped_recipes() == sorted(path.name.removesuffix(".yaml") for path in RECIPES.iterdir())
    assert folder().resolve() == RECIPES
    assert all(len(about(name)) > 20 for name in shipped_recipes())
    assert about("uav").startswith("The embedded world: rendered rgb")


def test_a_name_is_its_recipe_with_paths_from_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    recipe, base = find_recipe(Path("semantic_drone"), ["seed=3"])
    assert recipe == load_recipe(Recipe, RECIPES / "semantic_drone.yaml", ["seed=3"])
    assert base.resolve() == tmp_path
    (tmp_path / "uav").mkdir()  # a folder is no recipe
    assert locate(Path("uav"))[0].resolve() == RECIPES / "uav.yaml"


def test_a_file_is_itself_with_paths_from_its_own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "uav"):  # also where a recipe of ours has that name
        (tmp_path / "own").mkdir(exist_ok=True)
        for file in (Path("own", name), Path(name)):
            file.write_text("name: own\ndata: {source: scenes}\ntasks: {depth: {}}\n")
            recipe, base = find_recipe(file)
            assert recipe.name == "own" and base == file.parent


@pytest.mark.parametrize(
    ("given", "what", "fix"),
    [
        ("uva", "there is no recipe 'uva'", "did you mean 'uav'"),
        ("zzz", "there is no recipe 'zzz'", ", ".join(shipped_recipes())),
        ("zzz.yaml", "there is no such recipe file", ""),
        ("own/uav", "there is no such recipe file", ""),
    ],
)
def test_what_is_no_recipe(given, what, fix, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgekitError) as caught:
        find_recipe(Path(given))
    assert caught.value.what == what and fix in caught.value.fix


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_copy_means_what_the_recipe_means(name, tmp_path):
    files = copy(name, tmp_path / "new")
    assert files[0] == tmp_path / "new" / f"{name}.yaml" and all(file.is_file() for file in files)
    assert sorted(files) == sorted((tmp_path / "new").iterdir())
    assert load_recipe(Recipe, files[0]) == load_recipe(Recipe, RECIPES / f"{name}.yaml")


def test_a_copy_brings_what_it_extends_and_replaces_nothing(tmp_path):
    (tmp_path / "dronescapes.yaml").write_text("mine")
    with pytest.raises(EdgekitError, match=r"there is a dronescapes\.yaml already"):
        copy("dronescapes_150k", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["dronescapes.yaml"]
    assert (tmp_path / "dronescapes.yaml").read_text() == "mine"
    with pytest.raises(EdgekitError, match="there is no recipe 'dronescapes_150'"):
        copy("dronescapes_150", tmp_path)
