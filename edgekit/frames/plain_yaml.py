"""YAML that may come from anyone, as plain values: no aliases, no tags, bounded. Recipes have their own reader."""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.outside import read_text, shown_path

_BRACKETS = re.compile(r"[][{}]")


def read_yaml(path: str | os.PathLike, *, what: str = "the file", fix: str) -> Any:
    """The document in a YAML file: mappings, lists, texts, finite numbers, truths and dates.

    FileNotFoundError where it is missing. EdgekitError, naming file and line, for what is no YAML, an alias, a tag,
    half a character, more than limits.RECIPE_VALUES values or limits.RECIPE_LEVELS levels, and as of ``read_text``.
    """
    text = read_text(path, what=what, most=limits.RECIPE_BYTES, fix=fix)
    where = shown_path(path)
    try:
        check_brackets(text, 10 * limits.RECIPE_LEVELS)
        _check(text)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{where}, line {mark.line + 1}" if mark else where
        said = error.problem or error.context
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an impossible date, thousands of digits
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
    raise EdgekitError(f"{what} is no YAML that can be read: {said[:200]}", where=where, fix=fix)


def check_brackets(text: str, most: int) -> None:
    """RecursionError for more than ``most`` open brackets: for thousands of them a parser of YAML takes minutes."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += 1 if found[0] in "[{" else -1
        if depth > most:
            raise RecursionError


def _check(text: str) -> None:
    """MarkedYAMLError for what grows, or means more than plain values."""
    levels = count = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        begins = isinstance(event, yaml.CollectionStartEvent)
        levels += begins - isinstance(event, yaml.CollectionEndEvent)
        count += isinstance(event, yaml.NodeEvent)
        problem = None
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases are not read"
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag:
            problem = "tags are not read"
        elif levels > limits.RECIPE_LEVELS:
            problem = f"it is nested deeper than {limits.RECIPE_LEVELS} levels"
        elif count > limits.RECIPE_VALUES:
            problem = f"it has more than {limits.RECIPE_VALUES:,} values"
        elif isinstance(event, yaml.ScalarEvent) and any("\ud800" <= letter <= "\udfff" for letter in event.value):
            problem = "a text holds half a character"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
