"""Names from outside (of tasks, classes, scenes, frames, recipes) that become names of files and folders."""

from __future__ import annotations

import re
import unicodedata

from edgekit import limits
from edgekit.errors import EdgekitError

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in "0123456789")}
_UNPLAIN = re.compile(r"[^A-Za-z0-9_.+-]+")


def component(name: object, *, what: str = "the name", where: str | None = None) -> str:
    """``name``, where it may be one part of a path on any system: it names something inside a folder, and nothing else.

    EdgekitError, saying ``what`` and ``where`` it stands, for anything but text, an empty name, ``.`` and ``..``, a
    separator (``/`` or ``\\``), NUL, other control and direction characters, half a character, a dot in front (ours,
    and other systems' notes), a dot or space at the end, a device's name (CON, NUL, COM1, …), and more than
    limits.NAME_BYTES bytes.

    >>> component("river bed (dry)")
    'river bed (dry)'
    """
    problem = _problem(name)
    if problem is None:
        return str(name)
    fix = "use letters, digits, spaces and _ - + . ( ) inside the name"
    raise EdgekitError(f"{what} {str(name)[:60]!r} cannot name a file: {problem}", where=where or what, fix=fix)


def components(name: object, *, what: str = "the name", where: str | None = None) -> str:
    """``name`` as a relative path whose parts, between ``/``, are each a ``component``. EdgekitError otherwise."""
    for part in str(name).split("/") if isinstance(name, str) else [name]:
        component(part, what=what, where=where)
    return str(name)


def plain(name: str) -> str:
    """``name`` for a file of our own making: letters, digits and ``_.+-``, whatever it was; two names may become one.

    >>> plain("buildings(nearby)")
    'buildings_nearby'
    """
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    found = _UNPLAIN.sub("_", letters).strip("_.-+ ")[: limits.NAME_BYTES]
    return f"{found}_" if found.partition(".")[0].lower() in _RESERVED else found or "unnamed"


def _problem(name: object) -> str | None:
    if not isinstance(name, str):
        return "it is no text"
    if not name or name in (".", ".."):
        return "it is empty or stands for a folder"
    if "/" in name or "\\" in name:
        return "it holds a separator of folders"
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name) or _turns(name):
        return "it holds a control character"
    if name.startswith("."):
        return "it begins with a dot"
    if name.endswith((".", " ")) or name.startswith(" "):
        return "it begins or ends with a space, or ends with a dot"
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return "it is the name of a device on other systems"
    size = len(name.encode())
    return f"it has {size} bytes, and at most {limits.NAME_BYTES} fit" if size > limits.NAME_BYTES else None


def _turns(name: str) -> bool:
    """Whether it changes the direction in which text is read, so that it shows as another name."""
    return any("\u202a" <= letter <= "\u202e" or "\u2066" <= letter <= "\u2069" for letter in name)
