"""Makes classes show exactly what the real bindings of one version show, and records who used what.

A class of the fake implements every version. To callers outside of tests/fakes it has the attributes that the dump of
the version lists (tests/fakes/names), takes the arguments that its signatures list, and lets be set what can be set.
With FAKE_TENSORRT_RECORD every use is appended to that file, as one line of JSON.
"""

from __future__ import annotations

import enum
import functools
import json
import os
import sys
import types
from pathlib import Path

FAKES = str(Path(__file__).parents[1])
VERSION = os.environ.get("FAKE_TENSORRT_VERSION", "10.3.0")
NAMES = json.loads((Path(FAKES) / "names" / f"{VERSION}.json").read_text())
_recorded: set[str] = set()


def _caller() -> types.FrameType | None:
    """The frame that uses the fake, None where that is the fake itself or Python's own machinery."""
    frame = sys._getframe(2)
    file = frame.f_code.co_filename
    return None if file.startswith((FAKES, "<")) or f"{os.sep}enum.py" in file else frame


def _record(frame: types.FrameType, owner: str, name: str, what: str, **more: object) -> None:
    path = os.environ.get("FAKE_TENSORRT_RECORD")
    if not path:
        return
    use = {"owner": owner, "name": name, "use": what, "version": VERSION, **more}
    line = json.dumps({**use, "file": frame.f_code.co_filename, "line": frame.f_lineno})
    if line not in _recorded:
        _recorded.add(line)
        with open(path, "a") as file:
            file.write(line + "\n")


def _accepts(overload: list[str], count: int, keywords: set[str]) -> bool:
    names = [p.rstrip("=") for p in overload if p != "self"]
    required = [p for p in overload if p != "self" and not p.endswith("=")]
    given = set(names[:count]) | keywords
    return count <= len(names) and keywords <= set(names[count:]) and set(required) <= given


def _checked(frame: types.FrameType, owner: str, name: str, function):
    overloads = NAMES["classes"][owner].get(name)

    @functools.wraps(function)
    def call(*args, **kwargs):
        _record(frame, owner, name, "call", count=len(args), keywords=sorted(kwargs))
        if overloads and not any(_accepts(o, len(args), set(kwargs)) for o in overloads):
            raise TypeError(f"{name}(): incompatible function arguments; supported: {overloads}")
        return function(*args, **kwargs)

    return call


class _Meta(type):
    def __getattribute__(cls, name: str):
        frame = _caller()
        if frame is not None and not name.startswith("_") and "_spec" in type.__getattribute__(cls, "__dict__"):
            owner = type.__getattribute__(cls, "_spec")
            if name not in NAMES["classes"][owner]:
                _record(frame, owner, name, "missing")
                raise AttributeError(f"type object 'tensorrt.{owner}' has no attribute '{name}'")
            _record(frame, owner, name, "class")
        return type.__getattribute__(cls, name)

    def __call__(cls, *args, **kwargs):
        frame = _caller()
        if frame is not None and "_spec" in cls.__dict__:
            _record(frame, "module", cls._spec, "construct", count=len(args), keywords=sorted(kwargs))
            overloads = NAMES["classes"][cls._spec].get("__init__")
            if not overloads:
                raise TypeError(f"tensorrt.{cls._spec}: No constructor defined!")
            if not any(_accepts(o, len(args), set(kwargs)) for o in overloads):
                raise TypeError(f"{cls._spec}(): incompatible constructor arguments")
        return super().__call__(*args, **kwargs)


class Specified(metaclass=_Meta):
    """Base of what the fake shows. ``_spec``: the real class whose dump holds."""

    def _is_subclassed(self) -> bool:
        return "_spec" not in type(self).__dict__

    def __getattribute__(self, name: str):
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        frame = _caller()
        if frame is None:
            return object.__getattribute__(self, name)
        owner = object.__getattribute__(self, "_spec")
        if name not in NAMES["classes"][owner]:
            if object.__getattribute__(self, "_is_subclassed")():
                return object.__getattribute__(self, name)
            _record(frame, owner, name, "missing")
            raise AttributeError(f"'tensorrt.{owner}' object has no attribute '{name}'")
        _record(frame, owner, name, "get")
        value = object.__getattribute__(self, name)
        return _checked(frame, owner, name, value) if isinstance(value, types.MethodType) else value

    def __setattr__(self, name: str, value) -> None:
        frame = _caller()
        if frame is not None and not name.startswith("_") and not self._is_subclassed():
            kind = NAMES["classes"][self._spec].get(name)
            if kind != "value":
                _record(frame, self._spec, name, "missing")
                raise AttributeError(f"'tensorrt.{self._spec}' object attribute '{name}' is {kind or 'absent'}")
            _record(frame, self._spec, name, "set")
        object.__setattr__(self, name, value)


def specified(implementation: type, name: str) -> type | None:
    """The class of this version, None where it has none."""
    if name not in NAMES["classes"]:
        return None
    return _Meta(name, (implementation,), {"_spec": name, "__module__": "tensorrt"})


class _EnumMeta(enum.EnumMeta):
    def __getattr__(cls, name: str):
        # A member is a class attribute and does not come here; what does is a name that the version lacks.
        frame = _caller()
        if frame is not None and not name.startswith("_"):
            _record(frame, cls.__name__, name, "missing")
        raise AttributeError(f"type object 'tensorrt.{cls.__name__}' has no attribute '{name}'")

    def __getattribute__(cls, name: str):
        value = type.__getattribute__(cls, name)
        if not name.startswith("_"):
            frame = _caller()
            if frame is not None and name in type.__getattribute__(cls, "__members__"):
                _record(frame, type.__getattribute__(cls, "__name__"), name, "member")
        return value


class _Member(enum.Enum, metaclass=_EnumMeta):
    def __int__(self) -> int:
        return self.value

    __index__ = __int__


ENUMS = {name: _Member(name, members) for name, members in NAMES["enums"].items()}


class Module(types.ModuleType):
    """The module itself: what it lacks and what is used of it is recorded too."""

    def __getattribute__(self, name: str):
        if name.startswith("_") and name != "__version__":
            return super().__getattribute__(name)
        frame = _caller()
        if frame is None:
            return super().__getattribute__(name)
        try:
            value = super().__getattribute__(name)
        except AttributeError:
            _record(frame, "module", name, "missing")
            raise
        _record(frame, "module", name, "get")
        return value
