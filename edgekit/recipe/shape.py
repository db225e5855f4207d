"""What a pydantic model allows at a key path, for messages in plain words and for overrides of defaults."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Tag
from pydantic.fields import FieldInfo

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
_LISTS = (list, set, frozenset, Sequence, typing.Iterable)
_BOUNDS = (
    ("ge", "at least {}"),
    ("gt", "more than {}"),
    ("le", "at most {}"),
    ("lt", "less than {}"),
    ("multiple_of", "a multiple of {}"),
    ("pattern", "matching {}"),
)


@dataclass(frozen=True)
class Shape:
    """An annotation without its wrapping: the bare type, its constraints, and the key that tells a union apart."""

    type: Any
    constraints: tuple[Any, ...] = ()
    discriminator: str | None = None

    @property
    def origin(self) -> Any:
        return typing.get_origin(self.type)

    @property
    def args(self) -> tuple[Any, ...]:
        return typing.get_args(self.type)

    @property
    def is_model(self) -> bool:
        return isinstance(self.type, type) and issubclass(self.type, BaseModel)

    @property
    def is_mapping(self) -> bool:
        return self.is_model or self.type is dict or self.origin in (dict, Mapping)

    @property
    def is_list(self) -> bool:
        return self.type in (*_LISTS, tuple) or self.origin in (*_LISTS, tuple)

    def options(self) -> list[Shape]:
        """The members of a union, None left out; of anything else the shape itself."""
        if self.origin not in (typing.Union, types.UnionType):
            return [self]
        flat = [option for arg in self.args for option in unwrap(arg).options()]
        return [option for option in flat if option.type is not type(None)]

    def choose(self, value: Any) -> Shape | None:
        """The member of the union that ``value`` is meant for; None if that cannot be told."""
        options = self.options()
        if self.discriminator and isinstance(value, dict):
            options = [o for o in options if value.get(self.discriminator) in tags(o, self.discriminator)]
        elif isinstance(value, dict):
            options = [o for o in options if o.is_mapping]
            if len(options) > 1:
                known = [sum(key in fields(o.type) for key in value) if o.is_model else 0 for o in options]
                options = [o for o, count in zip(options, known, strict=True) if count == max(known)]
        elif isinstance(value, list):
            options = [o for o in options if o.is_list]
        return options[0] if len(options) == 1 else None

    def child(self, part: str | int) -> Shape | None:
        """The shape behind one key of a mapping or one index of a list; None if there is none or any."""
        if self.is_model:
            info = fields(self.type).get(str(part))
            return None if info is None else of_field(info)
        if self.is_mapping:
            return unwrap(self.args[1]) if self.args else None
        if not self.is_list or not self.args or not isinstance(part, int):
            return None
        if self.origin is tuple and self.args[-1] is not Ellipsis:
            return unwrap(self.args[part]) if part < len(self.args) else None
        return unwrap(self.args[0])


def unwrap(annotation: Any, constraints: Sequence[Any] = (), discriminator: Any = None) -> Shape:
    """The shape of an annotation: Annotated[...] and type aliases removed, their constraints collected."""
    constraints = tuple(constraints)
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation, *extra = typing.get_args(annotation)
            for item in extra:
                if isinstance(item, FieldInfo):
                    constraints += tuple(item.metadata)
                    discriminator = item.discriminator or discriminator
                else:
                    constraints += (item,)
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        else:
            break
    for item in constraints:
        if isinstance(item, Discriminator):
            discriminator = item
    if isinstance(discriminator, Discriminator):
        discriminator = discriminator.discriminator
    return Shape(annotation, constraints, discriminator if isinstance(discriminator, str) else None)


def of_field(info: FieldInfo) -> Shape:
    return unwrap(info.annotation, info.metadata, info.discriminator)


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys a recipe may write for ``model``, in schema order."""
    named = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        named[alias or name] = info
    return named


def tags(option: Shape, discriminator: str) -> tuple[Any, ...]:
    """The values of the key ``discriminator`` that select ``option`` in its union."""
    given = tuple(item.tag for item in option.constraints if isinstance(item, Tag))
    if given or not option.is_model or discriminator not in fields(option.type):
        return given
    return literals(of_field(fields(option.type)[discriminator]))


def literals(shape: Shape) -> tuple[Any, ...]:
    """Every fixed value (Literal or Enum) among the members of ``shape``."""
    values: tuple[Any, ...] = ()
    for option in shape.options():
        if option.origin is Literal:
            values += option.args
        elif isinstance(option.type, type) and issubclass(option.type, Enum):
            values += tuple(member.value for member in option.type)
    return values


def describe(shape: Shape) -> str:
    """What ``shape`` allows, in plain words: "a whole number, at least 1 and at most 64"."""
    options = shape.options()
    allowed = [_describe_one(option) for option in options if not literals(option)]
    fixed = literals(shape)
    if fixed:
        allowed.append(("one of " if len(fixed) > 1 else "") + ", ".join(str(value) for value in fixed))
    if _allows_none(shape):
        allowed.append("null")
    outer = _limits(shape.constraints) if options != [shape] else ""
    return " or ".join(allowed) + outer


def _allows_none(shape: Shape) -> bool:
    if shape.origin in (typing.Union, types.UnionType):
        return any(_allows_none(unwrap(arg)) for arg in shape.args)
    return shape.type is type(None)


def _describe_one(shape: Shape) -> str:
    return _noun(shape) + _limits(shape.constraints, items=shape.is_list or shape.is_mapping)


def _noun(shape: Shape) -> str:
    if shape.is_model:
        return f"a mapping with the keys {', '.join(fields(shape.type))}"
    if shape.is_mapping:
        return f"a mapping to {describe(unwrap(shape.args[1]))}" if shape.args else "a mapping"
    if shape.origin is tuple and shape.args[-1] is not Ellipsis:
        return f"a list of {len(shape.args)} ({'; '.join(describe(unwrap(arg)) for arg in shape.args)})"
    if shape.is_list:
        return f"a list, each entry {describe(unwrap(shape.args[0]))}" if shape.args else "a list"
    if isinstance(shape.type, type) and issubclass(shape.type, PurePath):
        return "a path"
    return _WORDS.get(shape.type, getattr(shape.type, "__name__", str(shape.type)))


def _limits(constraints: Sequence[Any], *, items: bool = False) -> str:
    limits = []
    for constraint in constraints:
        limits += [
            words.format(f"{value:g}" if isinstance(value, float) else value)
            for name, words in _BOUNDS
            if (value := getattr(constraint, name, None)) is not None
        ]
        unit = "entries" if items else "characters"
        if (least := getattr(constraint, "min_length", None)) is not None:
            limits.append(f"at least {least} {unit}")
        if (most := getattr(constraint, "max_length", None)) is not None:
            limits.append(f"at most {most} {unit}")
    return f", {' and '.join(limits)}" if limits else ""
