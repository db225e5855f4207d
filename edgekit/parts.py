"""Parts by name: edgekit's own, and those that other installed packages offer through entry points.

A package offers a part in its ``pyproject.toml``::

    [project.entry-points."edgekit.kinds"]
    flow = "my_package.flow:FLOW"

and a recipe names it like one of edgekit's own. Nothing is imported before it is named.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Parts(Mapping[str, T], Generic[T]):
    """A read-only table, name → part: ``own`` ones, then those of the entry-point group ``group``.

    what     what one of them is, for error messages: "kind of task"
    own      edgekit's parts, as objects or as "module:attribute" to be imported when asked for
    base     the class that each part is an instance of
    classes  each part is a subclass of ``base`` instead

    Iterating, ``in`` and ``len`` import nothing. ``parts[name]`` imports the part of that name only; EdgekitError that
    lists what is installed for an unknown name, and for a part that cannot be imported or is no ``base``. The name of
    an own part is edgekit's: a package that offers another part under it is not asked.
    """

    def __init__(self, group: str, what: str, own: Mapping[str, T | str], *, base: type, classes: bool = False):
        self.group = group
        self._what = what
        self._own = dict(own)
        self._base = base
        self._classes = classes
        self._loaded: dict[str, T] = {name: part for name, part in own.items() if not isinstance(part, str)}

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in sorted(self._offered()) if name not in self._own)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self._own or name in self._offered()

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The part, or ``default`` where no package offers one of that name."""
        return self[name] if name in self else default  # noqa: SIM401 - this is what get is

    def own(self) -> list[str]:
        """The names of edgekit's own parts."""
        return list(self._own)

    def imported(self) -> list[str]:
        """The names of edgekit's own parts, and of the others that were imported until now."""
        return [*self._own, *(name for name in self._loaded if name not in self._own)]

    def origin(self, name: str) -> str:
        """The package and version that a part comes from, such as "my-package 1.2"; empty for edgekit's own."""
        if name in self._own:
            return ""
        return _package(self._offered()[name][0])

    def _load(self, name: str) -> T:
        if name in self._own:
            module, attribute = self._own[name].split(":")
            return getattr(import_module(module), attribute)
        offers = self._offered().get(name, [])
        if not offers:
            raise EdgekitError(
                f"unknown {self._what} '{name}'",
                where=f"the entry points {self.group}",
                fix=f"use one of {', '.join(self)}",
            )
        if len(offers) > 1:
            raise EdgekitError(
                f"two packages offer the {self._what} '{name}': {' and '.join(map(_package, offers))}",
                where=f"the entry points {self.group}",
                fix="uninstall one of them",
            )
        where = f"{_package(offers[0])}, entry point {self.group}: {name} = {offers[0].value}"
        try:
            part = offers[0].load()
        except Exception as error:
            raise EdgekitError(
                f"the {self._what} '{name}' cannot be imported: {type(error).__name__}: {error}",
                where=where,
                fix="correct that package, or install what it needs",
            ) from error
        if not self._fits(part):
            wanted = f"{'subclass' if self._classes else 'instance'} of {self._base.__module__}.{self._base.__name__}"
            raise EdgekitError(
                f"the {self._what} '{name}' is no {wanted}", where=where, fix="name such an object in the entry point"
            )
        return part

    def _fits(self, part: object) -> bool:
        if self._classes:
            return isinstance(part, type) and issubclass(part, self._base)
        return isinstance(part, self._base)

    def _offered(self) -> dict[str, list[EntryPoint]]:
        """Name → the entry points of that name, one a package."""
        return _offers(self.group, tuple((folder, _changed(folder)) for folder in sys.path))


@lru_cache(64)
def _offers(group: str, folders: tuple[tuple[str, int], ...]) -> dict[str, list[EntryPoint]]:
    """Name → the entry points of that name, one a package, as long as the same is installed in these ``folders``."""
    from importlib.metadata import entry_points  # slow to import, and most commands ask for own parts alone

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except (OSError, ValueError):
        return 0


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
