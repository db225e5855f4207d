"""The recipe's schema: the shipped recipes, defaults, and rules that span sections."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edgekit.recipe.load import dump, load_recipe, recipe_hash
from edgekit.recipe.schema import Recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
LEAST = {"name": "r", "data": {"source": "scenes"}, "tasks": {"semantic": {}}}


def made(**changes) -> Recipe:
    return Recipe.model_validate({**LEAST, **changes})


def refusal(**changes) -> str:
    with pytest.raises(ValidationError) as caught:
        made(**changes)
    return str(caught.value)


def test_the_licence_of_the_data_makes_no_other_run():
    plain, stated = made(), made(data={"source": "scenes", "licence": "CC BY 4.0", "attribution": "The surveyors"})
    assert recipe_hash(plain.trained()) == recipe_hash(stated.trained())
    assert recipe_hash(plain.trained()) != recipe_hash(made(data={"source": "scenes", "spacing": 2}).trained())
    assert "at least 1" in refusal(data={"source": "scenes", "licence": ""})


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_the_shipped_recipes_load_and_survive_being_written(path, tmp_path):
    recipe = load_recipe(Recipe, path)
    written = tmp_path / "recipe.yaml"
    written.write_text(dump(recipe))
    again = load_recipe(Recipe, written)
    assert again == recipe and recipe_hash(again) == recipe_hash(recipe)


def test_there_are_shipped_recipes():
    assert {"uav.yaml", "semantic_drone.yaml"} <= {p.name for p in RECIPES}


def test_every_section_but_data_and_tasks_has_defaults():
    recipe = made()
    assert recipe.teacher.modalities == ["rgb"] and recipe.student.name == "lite"
    assert recipe.weights() == {"semantic": 1.0}
    assert set(recipe.distill.active()) == {"soft", "regression", "normals"}
    for key in LEAST:
        with pytest.raises(ValidationError):
            Recipe.model_validate({k: v for k, v in LEAST.items() if k != key})


def test_the_source_decides_the_keys_of_data():
    assert made(data={"source": "scenes", "frames_per_scene": 3, "memory_gb": 1}).data.frames_per_scene == 3
    assert made(data={"source": "image_folder", "root": "x", "on_bad_file": "skip"}).data.on_bad_file == "skip"
    assert "root" in refusal(data={"source": "scenes", "root": "x"})
    assert "frames_per_scene" in refusal(data={"source": "image_folder", "root": "x", "frames_per_scene": 3})
    assert "source" in refusal(data={"source": "video"})


@pytest.mark.parametrize(
    "changes",
    [
        {"sede": 1},
        {"data": {"source": "scenes", "sizes": [64, 64]}},
        {"tasks": {"semantic": {"wieght": 2}}},
        {"teacher": {"train": {"step": 3}}},
        {"teacher": {"train": {"augment": {"flips": True}}}},
        {"distill": {"losses": {"soft": {"temprature": 2}}}},
        {"distill": {"losses": {"soften": {}}}},
        {"require": {"miou": 0.5}},
        {"evaluate": {"splits": "val"}},
        {"data": {"source": "scenes", "fold": {"number": 1}}},
    ],
)
def test_unknown_keys_are_refused_everywhere(changes):
    assert "Extra inputs" in refusal(**changes)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"teacher": {"modalities": ["rgb", "semantic"]}}, "semantic is both a task and a modality"),
        ({"teacher": {"modalities": ["rgb", "hsv"], "masking": {"keep": ["edges"]}}}, "masking.keep names edges"),
        ({"teacher": {"modalities": ["rgb", "rgb"]}}, "each modality once"),
        ({"teacher": {"modalities": []}}, "at least 1"),
        ({"teacher": {"members": []}}, "there is no teacher"),
        ({"tasks": {}}, "at least 1"),
        ({"name": "a/b"}, "pattern"),
        ({"name": "../x"}, "pattern"),
        ({"data": {"source": "scenes", "fold": {"index": 2, "of": 2}}}, "must be below of"),
        ({"student": {"name": "repsag"}}, "repseg"),
        ({"distill": {"train": {"crop": [16, 64]}}}, "at least 32"),
        ({"distill": {"train": {"crop": [34, 64]}}}, "multiples of 4"),
        ({"teacher": {"train": {"crop": [64, 50]}}}, "multiples of 4"),
        (
            {"distill": {"train": {"crop": [36, 64], "augment": {"cutmix": 0.5}}}, "targets": {"stride": 5}},
            "multiples of targets.stride",
        ),
        ({"require": {"retention": 0}}, "greater than 0"),
        ({"ensemble": {"scales": [8.0]}}, "between 0.02 and 4"),
    ],
)
def test_what_cannot_be_is_refused(changes, what):
    assert what in refusal(**changes)


def test_cutmix_accepts_crops_of_whole_target_pixels():
    train = {"crop": [40, 60], "augment": {"cutmix": 0.5}}
    assert made(distill={"train": train}, targets={"stride": 5}).targets.stride == 5
    uneven = made(distill={"train": {"crop": [36, 64]}}, targets={"stride": 5})  # without cutmix any size
    assert uneven.distill.train.crop == (36, 64)


def test_a_loss_is_off_when_it_is_null_or_weighs_nothing():
    losses = {"soft": {"weight": 0}, "regression": None, "cwd": {"weight": 2}}
    assert set(made(distill={"losses": losses}).distill.active()) == {"cwd"}
