"""From pydantic's verdict on a document to problems a user can act on."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from edgekit.recipe.document import Document, KeyPath, dotted
from edgekit.recipe.problems import Problem, quoted
from edgekit.recipe.shape import Shape, describe, fields, literals, of_field, tags, unwrap

_OWN_WORDS = ("value_error", "assertion_error")  # raised by a validator of the schema, with its own message
_SCALAR = re.compile(r"[-+]?[0-9.]+|true|false")
_ABSENT = object()


def validate(document: Document, model: type[BaseModel], extra_keys: Iterable[str] = ()) -> tuple[Any, list[Problem]]:
    """Build ``model`` from ``document``: (instance, no problems) or (None, every problem).

    Strict, as from JSON: "32" is not a number and true is not 1, while 1 is a fine float and a list a fine tuple.
    ``extra_keys`` are known at the top level without being fields of ``model``.
    """
    try:
        return model.model_validate_json(json.dumps(document.value), strict=True), []
    except ValidationError as error:
        teller = _Teller(document, model, tuple(extra_keys))
        return None, teller.tell(error.errors(include_url=False))


class _Teller:
    def __init__(self, document: Document, model: type[BaseModel], extra_keys: tuple[str, ...]):
        self.document, self.model, self.extra_keys = document, model, extra_keys

    def tell(self, errors: list[Any]) -> list[Problem]:
        problems: dict[KeyPath, list[Problem]] = {}
        unmatched: dict[KeyPath, Shape] = {}
        for error in errors:
            path, shape, union = self._locate(error["loc"])
            if union:
                unmatched[path] = shape
            else:
                problems.setdefault(path, []).append(self._problem(error, path, shape))
        for path, shape in unmatched.items():
            # every member of the union failed: tell it once, unless the member meant by the value has told it
            if not any(told[: len(path)] == path for told in problems):
                problems[path] = [self._bad_value(path, shape, self._value(path))]
        return [problem for told in problems.values() for problem in told]

    def _locate(self, loc: tuple[str | int, ...]) -> tuple[KeyPath, Shape | None, bool]:
        """Where pydantic's ``loc`` points: key path, shape there, and whether it stopped before a plain union.

        ``loc`` holds, between the keys, the label of the member tried in each union; they are no part of the path.
        """
        path: KeyPath = ()
        shape: Shape | None = unwrap(self.model)
        value = self.document.value
        parts = [part for part in loc if part != "[key]"]
        while parts:
            if shape and len(shape.options()) > 1:
                chosen, label = shape.choose(value), str(parts.pop(0))
                if not shape.discriminator and not _labels(label, chosen):
                    return path, shape, True
                shape = chosen
                continue
            if shape:
                shape = shape.options()[0]  # X | None
            part = parts.pop(0)
            if shape is None and parts and not _has(value, part):
                continue  # a label inside something the shape does not follow
            path = (*path, part)
            value = value[part] if _has(value, part) else _ABSENT
            shape = shape.child(part) if shape else None
        return path, shape, False

    def _value(self, path: KeyPath) -> Any:
        value = self.document.value
        for part in path:
            value = value[part]
        return value

    def _holder(self, path: KeyPath) -> Shape | None:
        """The shape of the mapping or list that holds the last part of ``path``."""
        shape: Shape | None = unwrap(self.model)
        value = self.document.value
        for part in path[:-1]:
            shape = shape.choose(value) if shape else None
            shape = shape.child(part) if shape else None
            value = value[part]
        return shape.choose(value) if shape else None

    def _problem(self, error: Any, path: KeyPath, shape: Shape | None) -> Problem:
        kind = error["type"]
        if kind == "extra_forbidden":
            return self._unknown_key(path, error["input"])
        if kind == "missing":
            what = f"the key '{path[-1]}' is missing" + (f": {describe(shape)}" if shape else "")
            return Problem(what, self.document.locate(path), f"write {dotted(path)}")
        if kind in ("union_tag_invalid", "union_tag_not_found") and shape and shape.discriminator:
            return self._bad_tag(path, shape)
        if kind in _OWN_WORDS:
            said = str(error["ctx"]["error"]) or "refused by the schema"
            value = error["input"]
            what = said if isinstance(value, (dict, list)) or not path else f"{dotted(path)} is {quoted(value)}: {said}"
            return Problem(what, self.document.locate(path))
        if "[key]" in error["loc"]:
            return self._bad_key(path, error["msg"])
        if shape is None:
            what = f"{dotted(path)} is {quoted(error['input'])}: {error['msg'][0].lower()}{error['msg'][1:]}"
            return Problem(what, self.document.locate(path))
        return self._bad_value(path, shape, error["input"])

    def _bad_value(self, path: KeyPath, shape: Shape, value: Any) -> Problem:
        what = f"{dotted(path) or 'the recipe'} is {quoted(value)}, but must be {describe(shape)}"
        near = _nearest(value, literals(shape))
        fix = f"did you mean {near}?" if near is not None else None
        wants_scalar = any(option.type in (int, float, bool) for option in shape.options())
        if wants_scalar and isinstance(value, str) and _SCALAR.fullmatch(value):
            fix = f"write {value} without quotes"
        return Problem(what, self.document.locate(path), fix)

    def _bad_tag(self, path: KeyPath, shape: Shape) -> Problem:
        here = (*path, shape.discriminator)
        known = tuple(tag for option in shape.options() for tag in tags(option, shape.discriminator))
        allowed = f"one of {', '.join(str(tag) for tag in known)}"
        holder = self._value(path)
        if shape.discriminator not in holder:
            what = f"the key '{shape.discriminator}' is missing: {allowed}"
            return Problem(what, self.document.locate(here), f"write {dotted(here)}")
        value = holder[shape.discriminator]
        near = _nearest(value, known)
        fix = f"did you mean {near}?" if near is not None else None
        return Problem(f"{dotted(here)} is {quoted(value)}, but must be {allowed}", self.document.locate(here), fix)

    def _bad_key(self, path: KeyPath, message: str) -> Problem:
        holder = self._holder(path)
        keys = unwrap(holder.args[0]) if holder and holder.args else None
        what = f"the key '{path[-1]}' of {dotted(path[:-1])} " + (f"must be {describe(keys)}" if keys else message)
        near = _nearest(path[-1], literals(keys)) if keys else None
        return Problem(what, self.document.locate(path), f"did you mean '{near}'?" if near is not None else None)

    def _unknown_key(self, path: KeyPath, value: Any) -> Problem:
        key = str(path[-1])
        holder = self._holder(path)
        known = list(fields(holder.type)) if holder and holder.is_model else []
        if len(path) == 1:
            known += self.extra_keys
        place = f"of {dotted(path[:-1])}" if len(path) > 1 else "at the top level"
        what = f"unknown key '{key}' with the value {quoted(value)}; the keys {place} are: {', '.join(known) or 'none'}"
        near = _nearest(key, known)
        if near is not None:
            fix = f"did you mean '{near}'?"
        else:
            elsewhere = [dotted(place) for place in _places(unwrap(self.model)) if place[-1] == key]
            fix = f"did you mean {' or '.join(elsewhere)}?" if elsewhere else "remove it"
        return Problem(what, self.document.locate(path), fix)


def _places(shape: Shape, path: KeyPath = (), inside: tuple[type, ...] = ()) -> Iterable[KeyPath]:
    """Every key path of a model that runs through mappings only."""
    for option in shape.options():
        if option.is_model and option.type not in inside:
            for key, info in fields(option.type).items():
                yield (*path, key)
                yield from _places(of_field(info), (*path, key), (*inside, option.type))


def _labels(label: str, chosen: Shape | None) -> bool:
    """Whether pydantic's label of a union member, such as ``list[int]`` or ``Student``, means ``chosen``."""
    if chosen is None:
        return False
    if chosen.is_model:
        # a model with validators is labelled `function-after[_small(), Student]`
        return re.fullmatch(rf"(function-.*, )?{re.escape(chosen.type.__name__)}\]*", label) is not None
    name = getattr(chosen.origin or chosen.type, "__name__", "")
    return label.startswith(name) and (chosen.is_list or chosen.is_mapping)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _nearest(value: Any, known: Iterable[Any]) -> Any | None:
    names = {str(name): name for name in known}
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    return names[near[0]] if near else None
