"""From pydantic's errors about a document to problems that name file, line, key and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from edgekit.errors import did_you_mean
from edgekit.recipe.document import Document, KeyPath, dotted
from edgekit.recipe.json_schema import SchemaNode, schema_of
from edgekit.recipe.problems import Problem, quoted

_NUMBER_OR_TRUTH = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)|true|false")
_TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}  # YAML 1.1's words, text in YAML 1.2
_YAML_WORDS = {
    "an object": "a mapping",
    "a valid array": "a list",
    "a valid boolean": "true or false",
    "a valid string": "text",
}
"""What pydantic says of JSON → what a reader of YAML knows."""
_MOST_SUGGESTIONS = 20
"""Unknown keys to look for a similar key for: to compare each of thousands with every key takes minutes."""


_MOST_EXPLAINED = 500
"""Problems that are put into words; those beyond are more than are shown, and counted alone."""


def validate(document: Document, model: type[BaseModel], extra_keys: Iterable[str] = ()) -> tuple[Any, list[Problem]]:
    """Build ``model`` from ``document``: (instance, no problems) or (None, every problem).

    Strict, as from JSON: "32" is not a number and true is not 1, while 1 is a fine float and a list a fine tuple.
    ``extra_keys`` are known at the top level without being fields of ``model``.
    """
    try:
        return model.model_validate_json(json.dumps(document.value), strict=True), []
    except ValidationError as error:
        return None, _Explainer(document, schema_of(model), extra_keys).problems(error.errors(include_url=False))


class _Explainer:
    def __init__(self, document: Document, root: SchemaNode, extra_keys: Iterable[str]):
        self.document, self.root, self.extra_keys = document, root, list(extra_keys)
        self.unknown = 0

    def problems(self, errors: list[Any]) -> list[Problem]:
        """One problem per place; where no member of a union fits, one that names what each member wants."""
        by_path: dict[KeyPath, list[tuple[Any, SchemaNode | None]]] = {}
        refused: set[KeyPath] = set()  # where a member of a union does not fit at all
        for error in errors:
            path, holder, in_union = self._locate(error)
            by_path.setdefault(path, []).append((error, holder))
            if in_union:
                refused.add(path)
        refused &= {path[:length] for path in by_path for length in range(len(path))}
        found: list[Problem] = []
        for path, located in by_path.items():
            if path in refused:
                continue  # the value is meant for another member, whose own problems are enough
            if len(found) < _MOST_EXPLAINED:
                found.append(self._problem(path, [error for error, _ in located], located[0][1]))
            else:
                found.append(Problem("this is wrong too", dotted(path)))
        return found

    def _locate(self, error: Any) -> tuple[KeyPath, SchemaNode | None, bool]:
        """Where an error's ``loc`` points: key path, the schema of the mapping or list there, whether in a union.

        ``loc`` holds, between the keys, the label of the member tried in each union; they are no part of the path.
        """
        path: KeyPath = ()
        node: SchemaNode | None = self.root
        holder, value, label = None, self.document.value, False
        parts = [part for part in error["loc"] if part != "[key]"]
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            if node and node.discriminator and isinstance(value, dict) and part == value.get(node.discriminator):
                node = node.tagged().get(part)
            elif _has(value, part) or (last and error["type"] == "missing"):
                holder = node and node.choose(value)
                path, value = (*path, part), value[part] if _has(value, part) else None
                node = holder and holder.child(part)
            else:
                label = last
        return path, holder, label

    def _problem(self, path: KeyPath, errors: list[Any], holder: SchemaNode | None) -> Problem:
        first = errors[0]
        where, value = self.document.locate(path), first["input"]
        if first["type"] == "extra_forbidden":
            return self._unknown_key(path, holder, value)
        if first["type"] == "missing":
            return Problem(f"the key '{path[-1]}' is missing", where, f"write {dotted(path)}")
        if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
            return self._bad_tag(path, first, holder)
        if first["type"] in ("value_error", "assertion_error"):  # raised by a validator of the schema's own
            said = str(first["ctx"]["error"]) or "refused by the schema"
            whole = isinstance(value, (dict, list)) or not path
            return Problem(said if whole else f"{dotted(path)} is {quoted(value)}: {said}", where)
        subject = f"{dotted(path) or 'the recipe'} is {quoted(value)}"
        if "[key]" in first["loc"]:
            subject = f"'{path[-1]}' is a key of {dotted(path[:-1])}"
        wanted = dict.fromkeys(error["msg"].removeprefix("Input should be ") for error in errors)
        allowed = " or ".join(_YAML_WORDS.get(text, text) for text in wanted)
        joint = ", but should be " if first["msg"].startswith("Input should be ") else ": "
        return Problem(subject + joint + allowed, where, _fix(value, errors))

    def _bad_tag(self, path: KeyPath, error: Any, holder: SchemaNode | None) -> Problem:
        key, value = error["ctx"]["discriminator"].strip("'"), error["input"]
        node = holder and holder.child(path[-1])
        options = [node, *node.options] if node else []
        known = next((option.tags() for option in options if option.discriminator == key), [])
        here, allowed = (*path, key), f"one of {', '.join(known)}"
        if value.get(key) is None:
            return Problem(
                f"the key '{key}' is missing: {allowed}", self.document.locate(here), f"write {dotted(here)}"
            )
        what = f"{dotted(here)} is {quoted(value[key])}, but should be {allowed}"
        return Problem(what, self.document.locate(here), did_you_mean(value[key], known))

    def _unknown_key(self, path: KeyPath, holder: SchemaNode | None, value: Any) -> Problem:
        key, known = str(path[-1]), holder.keys if holder else []
        if len(path) == 1:
            known += self.extra_keys
        place = f"of {dotted(path[:-1])}" if len(path) > 1 else "at the top level"
        what = f"unknown key '{key}' with the value {quoted(value)}; the keys {place} are: {', '.join(known) or 'none'}"
        self.unknown += 1
        fix = did_you_mean(key, known) if self.unknown <= _MOST_SUGGESTIONS else None
        if fix is None:
            elsewhere = self._places.get(key)
            fix = f"did you mean {' or '.join(elsewhere)}?" if elsewhere else "remove it"
        return Problem(what, self.document.locate(path), fix)

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        """Key → every path of the schema that ends with it."""
        found: dict[str, list[str]] = {}
        for place in self.root.places():
            found.setdefault(str(place[-1]), []).append(dotted(place))
        return found


def _fix(value: Any, errors: list[Any]) -> str | None:
    """What to write instead of a value of the wrong type, or one that is not among fixed ones."""
    types = {error["type"] for error in errors}
    if types & {"int_type", "float_type", "bool_type"} and isinstance(value, str) and _NUMBER_OR_TRUTH.fullmatch(value):
        return f"write {value} without quotes"
    if "bool_type" in types and str(value).lower() in _TRUTHS:
        return f"write {_TRUTHS[value.lower()]}"
    if types == {"string_type"} and not isinstance(value, (list, dict)):
        return "write it in quotes, and it is text"
    allowed = [error["ctx"]["expected"] for error in errors if error["type"] == "literal_error"]
    return did_you_mean(value, re.findall(r"[^\s',]+", " ".join(allowed)))


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
