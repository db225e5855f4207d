"""From pydantic's verdict on a document to problems a user can act on."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from edgekit.recipe.document import Document, KeyPath, dotted
from edgekit.recipe.problems import Problem, quoted
from edgekit.recipe.shape import Shape, shape_of

_OWN_WORDS = ("value_error", "assertion_error")  # raised by a validator of the schema, with its own message
_SCALAR = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)|true|false")
_TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}  # YAML 1.1's words, text in YAML 1.2
_MOST_SUGGESTIONS = 20
"""Unknown keys to look for a similar key for: to compare each of thousands with every key takes minutes."""


def validate(document: Document, model: type[BaseModel], extra_keys: Iterable[str] = ()) -> tuple[Any, list[Problem]]:
    """Build ``model`` from ``document``: (instance, no problems) or (None, every problem).

    Strict, as from JSON: "32" is not a number and true is not 1, while 1 is a fine float and a list a fine tuple.
    ``extra_keys`` are known at the top level without being fields of ``model``.
    """
    try:
        return model.model_validate_json(json.dumps(document.value), strict=True), []
    except ValidationError as error:
        teller = _Teller(document, shape_of(model), tuple(extra_keys))
        return None, teller.tell(error.errors(include_url=False))


class _Teller:
    def __init__(self, document: Document, root: Shape, extra_keys: tuple[str, ...]):
        self.document, self.root, self.extra_keys = document, root, extra_keys
        self.unknown = 0

    def tell(self, errors: list[Any]) -> list[Problem]:
        problems: dict[KeyPath, list[Problem]] = {}
        unmatched: dict[KeyPath, Shape] = {}
        for error in errors:
            path, holder, shape, no_member = self._locate(error)
            if no_member:
                unmatched[path] = shape
            else:
                problems.setdefault(path, []).append(self._problem(error, path, holder, shape))
        inside = {path[:length] for path in problems for length in range(len(path) + 1)}
        for path, shape in unmatched.items():
            # Every member of the union failed; where the value is meant for one of them, its own problems are enough.
            if path not in inside:
                problems[path] = [self._bad_value(path, shape, self._value(path))]
        return [problem for told in problems.values() for problem in told]

    def _locate(self, error: Any) -> tuple[KeyPath, Shape | None, Shape | None, bool]:
        """Where an error's ``loc`` points: key path, shape of the holder, shape there, whether a union refuses it all.

        ``loc`` holds, between the keys, the label of the member tried in each union; they are no part of the path.
        """
        path: KeyPath = ()
        holder: Shape | None = None
        shape: Shape | None = self.root
        value = self.document.value
        parts = [part for part in error["loc"] if part != "[key]"]
        while parts:
            if shape and len(shape.options) > 1:
                label, chosen = parts.pop(0), shape.choose(value)
                if not chosen or (not parts and not shape.discriminator and error["type"] not in _OWN_WORDS):
                    return path, holder, shape, True
                shape = shape.tagged().get(label, chosen)
                continue
            shape = shape and shape.options[0]  # X | None
            part = parts.pop(0)
            if shape is None and parts and not _has(value, part):
                continue  # a label inside something the shape does not follow
            path = (*path, part)
            value = value[part] if _has(value, part) else None
            holder, shape = shape, shape and shape.child(part)
        return path, holder, shape, False

    def _value(self, path: KeyPath) -> Any:
        value = self.document.value
        for part in path:
            value = value[part]
        return value

    def _problem(self, error: Any, path: KeyPath, holder: Shape | None, shape: Shape | None) -> Problem:
        kind = error["type"]
        if kind == "extra_forbidden":
            return self._unknown_key(path, holder, error["input"])
        if kind == "missing":
            what = f"the key '{path[-1]}' is missing" + (f": {shape.describe()}" if shape else "")
            return Problem(what, self.document.locate(path), f"write {dotted(path)}")
        if kind in ("union_tag_invalid", "union_tag_not_found") and shape and shape.discriminator:
            return self._bad_tag(path, shape)
        if kind in _OWN_WORDS:
            said = str(error["ctx"]["error"]) or "refused by the schema"
            value = error["input"]
            what = said if isinstance(value, (dict, list)) or not path else f"{dotted(path)} is {quoted(value)}: {said}"
            return Problem(what, self.document.locate(path))
        if "[key]" in error["loc"] and holder:
            what = f"the key '{path[-1]}' of {dotted(path[:-1])} must be {holder.key_names.describe()}"
            near = _nearest(path[-1], holder.key_names.literals())
            return Problem(what, self.document.locate(path), near and f"did you mean '{near}'?")
        if shape is None:
            what = f"{dotted(path)} is {quoted(error['input'])}: {error['msg'][0].lower()}{error['msg'][1:]}"
            return Problem(what, self.document.locate(path))
        return self._bad_value(path, shape, error["input"])

    def _bad_value(self, path: KeyPath, shape: Shape, value: Any) -> Problem:
        what = f"{dotted(path) or 'the recipe'} is {quoted(value)}, but must be {shape.describe()}"
        near = _nearest(value, shape.literals())
        fix = near and f"did you mean {near}?"
        if shape.wants("integer", "number", "boolean") and isinstance(value, str) and _SCALAR.fullmatch(value):
            fix = f"write {value} without quotes"
        elif shape.wants("boolean") and str(value).lower() in _TRUTHS:
            fix = f"write {_TRUTHS[value.lower()]}"
        elif not isinstance(value, (str, list, dict)) and shape.describe() in ("text", "a path"):
            fix = "write it in quotes, and it is text"
        return Problem(what, self.document.locate(path), fix)

    def _bad_tag(self, path: KeyPath, shape: Shape) -> Problem:
        here, known = (*path, shape.discriminator), shape.tags()
        allowed = f"one of {', '.join(known)}"
        value = self._value(path).get(shape.discriminator)
        if value is None:
            what = f"the key '{shape.discriminator}' is missing: {allowed}"
            return Problem(what, self.document.locate(here), f"write {dotted(here)}")
        near = _nearest(value, known)
        what = f"{dotted(here)} is {quoted(value)}, but must be {allowed}"
        return Problem(what, self.document.locate(here), near and f"did you mean {near}?")

    def _unknown_key(self, path: KeyPath, holder: Shape | None, value: Any) -> Problem:
        key, known = str(path[-1]), holder.keys if holder else []
        if len(path) == 1:
            known += self.extra_keys
        place = f"of {dotted(path[:-1])}" if len(path) > 1 else "at the top level"
        what = f"unknown key '{key}' with the value {quoted(value)}; the keys {place} are: {', '.join(known) or 'none'}"
        self.unknown += 1
        near = _nearest(key, known) if self.unknown <= _MOST_SUGGESTIONS else None
        if near is not None:
            fix = f"did you mean '{near}'?"
        else:
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


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _nearest(value: Any, known: Iterable[Any]) -> str | None:
    near = difflib.get_close_matches(str(value), [str(name) for name in known], n=1, cutoff=0.5)
    return near[0] if near else None
