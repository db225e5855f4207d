"""Finding and loading a recipe, printing it, and hashing it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from edgekit.recipe.document import to_yaml
from edgekit.recipe.overrides import EXTENDS, apply_overrides, read_chain
from edgekit.recipe.problems import raise_problems
from edgekit.recipe.schema import Recipe
from edgekit.recipe.shipped import locate
from edgekit.recipe.validate import validate

M = TypeVar("M", bound=BaseModel)


def find_recipe(recipe: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, Path]:
    """A file's recipe, or the one of this name that comes with edgekit, and the folder its relative paths start from.

    EdgekitErrors of ``locate`` and ``load_recipe``.
    """
    file, base = locate(recipe)
    return load_recipe(Recipe, file, overrides), base


def load_recipe(model: type[M], path: Path, overrides: Sequence[str] = ()) -> M:
    """The recipe ``path`` as an instance of ``model``.

    Its `extends` chain is merged first, then ``overrides`` (``"student.width=32"``) are applied, later ones last.

    Raises EdgekitError with every problem found: file and line (or the override), key path, value, what is allowed
    and the nearest known key.
    """
    path = Path(path)
    document = read_chain(path, model)
    if overrides:
        validate(document, model)  # imports the parts that it names, whose defaults an override may change
        apply_overrides(document, overrides, model)
    loaded, problems = validate(document, model, extra_keys=(EXTENDS,))
    raise_problems(document.problems + problems, str(path))
    return loaded


def dump(model: BaseModel) -> str:
    """``model`` as YAML in schema order, defaults written out; `load_recipe` reads it back as an equal model."""
    return to_yaml(model.model_dump(mode="json", by_alias=True))


def recipe_hash(model: Any, *inputs: Any) -> str:
    """10 hex digits of the SHA-256 of ``model`` and whatever else a result depends on, as canonical JSON.

    Models, mappings, sequences, sets, paths and scalars are hashed by value; a set's order does not matter, a
    mapping's does, because the order of a recipe's classes is their index.
    """
    text = json.dumps([model, *inputs], default=_plain, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, PurePath):
        return value.as_posix()
    return to_jsonable_python(value)
