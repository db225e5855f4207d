"""The checked recipe of a file, or of the name of a recipe that comes with edgekit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.recipe.shipped import locate


def find_recipe(recipe: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, Path]:
    """The recipe and the folder that its relative paths start from. EdgekitErrors of ``locate`` and ``load_recipe``."""
    file, base = locate(recipe)
    return load_recipe(Recipe, file, overrides), base
