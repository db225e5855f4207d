"""Values from JSON as the types that a dataclass or a TypedDict declares."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal


class Misfit(ValueError):
    """A field that is not what its type says; the sentence names it."""


def as_typed(kind: Any, value: Any, path: str) -> Any:
    """``value``, plain values as JSON has them, as the annotated type ``kind``; Misfit names the field below ``path``.

    Mappings become dataclasses, whose fields must all be there, and no others; or TypedDicts, which may lack what is
    not required, and keep what they do not name. Lists and tuples become what the type says, whole numbers become
    floats where it is float; True is no number.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _first_fitting(args, value, path)
    if origin is Literal:
        if value not in args:
            raise Misfit(f"{path} is {shown(value)}, expected one of {', '.join(map(str, args))}")
        return value
    if origin in (tuple, list):
        return _sequence(origin, args, value, path)
    if typing.is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return _fields(kind, value, path)
    if origin is dict or kind is dict:
        args = args or (str, Any)
        if not isinstance(value, dict):
            raise Misfit(f"{path} is {shown(value)}, expected a mapping")
        return {
            as_typed(args[0], k, f"a key of {path}"): as_typed(args[1], v, f"{path}.{k[:60]}") for k, v in value.items()
        }
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is type(None):
        if value is not None:
            raise Misfit(f"{path} is {shown(value)}, expected null")
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Misfit(f"{path} is {shown(value)}, expected {kind.__name__}")
    return value


def _first_fitting(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    misfits = []
    for kind in kinds:
        try:
            return as_typed(kind, value, path)
        except Misfit as misfit:
            misfits.append(str(misfit))
    raise Misfit(misfits[0])


def _sequence(origin: type, args: tuple[Any, ...], value: Any, path: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise Misfit(f"{path} is {shown(value)}, expected a list")
    any_length = origin is list or args[-1] is Ellipsis
    kinds = [args[0]] * len(value) if any_length else list(args)
    if len(kinds) != len(value):
        raise Misfit(f"{path} has {len(value)} entries, expected {len(kinds)}")
    return origin(as_typed(k, v, f"{path}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _fields(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise Misfit(f"{path} is {shown(value)}, expected a mapping")
    hints, open_ended = typing.get_type_hints(kind), typing.is_typeddict(kind)
    unknown = [] if open_ended else [name for name in value if name not in hints]
    required = kind.__required_keys__ if open_ended else hints
    missing = [name for name in hints if name in required and name not in value]
    if unknown:
        raise Misfit(f"{path} has an unknown field '{unknown[0][:60]}'")
    if missing:
        raise Misfit(f"{path} lacks the field '{missing[0]}'")
    found = {name: as_typed(hint, value[name], f"{path}.{name}") for name, hint in hints.items() if name in value}
    return {**value, **found} if open_ended else kind(**found)


def shown(value: Any) -> str:
    """A value for an error message, cut where it gets long."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
