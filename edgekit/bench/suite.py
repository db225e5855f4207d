"""A suite: students × precisions × sizes × power modes, from one YAML file."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgekit import limits
from edgekit.bench.document import in_threads
from edgekit.bench.stopwatch import BenchPlan
from edgekit.bundle.manifest import PRECISIONS
from edgekit.errors import EdgekitError
from edgekit.frames.plain_yaml import read_yaml
from edgekit.frames.typed import shown


@dataclass(frozen=True)
class Combination:
    """One combination, and with that one row. ``power_mode`` None: the one the machine is in."""

    bundle: str
    student: str
    size: str
    precision: str
    backend: str
    power_mode: str | None = None
    lane: str | None = None
    threads: int | None = None
    engine: str | None = None

    @property
    def label(self) -> str:
        words = [self.student, self.size.replace("x", "×"), self.precision, self.backend]
        words += [in_threads(self.threads)] if self.threads else []
        return " ".join([*words, *([self.power_mode] if self.power_mode else [])])

    def key(self, digest: str, plan: BenchPlan) -> str:
        """Identifies a finished row: by the combination, the bundle's content, and how long it is measured."""
        text = json.dumps([asdict(self), digest, asdict(plan)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Suite:
    """See ``benchmarks/device_suite.yaml`` for the keys."""

    name: str
    bundle: str
    students: tuple[str, ...]
    sizes: tuple[str, ...]
    precisions: tuple[str, ...]
    backend: str = "onnxruntime"
    lane: str | None = None
    threads: tuple[int, ...] = ()
    engine: str | None = None
    power_modes: tuple[str, ...] = ()
    lock_clocks: bool = False
    warm_up: float = 1.0
    duration: float = 10.0
    runs: int = 200

    @property
    def plan(self) -> BenchPlan:
        return BenchPlan(self.warm_up, self.duration, self.runs)

    def cells(self) -> list[Combination]:
        """Every combination, power modes outermost."""
        found = []
        for mode, student, size, precision, threads in itertools.product(
            self.power_modes or (None,), self.students, self.sizes, self.precisions, self.threads or (None,)
        ):
            names = {"student": student, "size": size, "precision": precision}
            engine = _filled(self.engine, names) if self.engine else None
            bundle = _filled(self.bundle, names)
            found.append(Combination(bundle, student, size, precision, self.backend, mode, self.lane, threads, engine))
        return found


def read_suite(path: Path) -> Suite:
    """EdgekitError, naming file and key, for anything but a suite. Paths in it are relative to the file's folder."""
    try:
        given = read_yaml(path, what="the suite", fix="correct it: benchmarks/device_suite.yaml is one")
    except FileNotFoundError:
        raise _wrong(path, "", "the suite does not exist", "give the suite's YAML file") from None
    if not isinstance(given, Mapping):
        raise _wrong(path, "", "a suite is a mapping of keys", "see benchmarks/device_suite.yaml")
    known = [f.name for f in fields(Suite)]
    for key in given:
        if key not in known:
            raise _wrong(path, str(key)[:100], "there is no such key", f"use some of {', '.join(known)}")
    values = {key: _check(path, key, value) for key, value in given.items()}
    for key in ("name", "bundle", "students", "sizes", "precisions"):
        if key not in values:
            raise _wrong(path, key, "the key is missing", "see benchmarks/device_suite.yaml")
    for key in ("bundle", "engine"):
        if values.get(key):
            values[key] = _template(path, key, values[key])
    suite = Suite(**values)
    lists = (suite.power_modes, suite.students, suite.sizes, suite.precisions, suite.threads)
    if (count := math.prod(max(1, len(entries)) for entries in lists)) > limits.SUITE_CELLS:
        what = f"the suite has {count:,} combinations, and at most {limits.SUITE_CELLS:,} are measured"
        raise _wrong(path, "students", what, "name fewer students, sizes, precisions, threads or power modes")
    return suite


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 10**7


def _size(value: Any) -> bool:
    return _text(value) and re.fullmatch(r"\d{2,4}x\d{2,4}", value, re.ASCII) is not None


_Rule = tuple[Callable[[Any], bool], str]
_TEXT: _Rule = (_text, "text")
_NUMBER: _Rule = (_number, "a number of seconds, 0 or more")
_ONE: dict[str, _Rule] = {
    "name": _TEXT,
    "bundle": _TEXT,
    "backend": _TEXT,
    "lane": _TEXT,
    "engine": _TEXT,
    "lock_clocks": (lambda v: isinstance(v, bool), "true or false"),
    "warm_up": _NUMBER,
    "duration": _NUMBER,
    "runs": (_count, "a whole number of runs"),
}
_MANY: dict[str, _Rule] = {
    "students": _TEXT,
    "sizes": (_size, "HEIGHTxWIDTH, e.g. 544x960"),
    "precisions": (lambda v: v in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "power_modes": (lambda v: _text(v) or _count(v) or v == 0, "a name of /etc/nvpmodel.conf, e.g. MAXN"),
    "threads": (_count, "a whole number of threads"),
}


def _check(path: Path, key: str, value: Any) -> Any:
    if key in _ONE:
        fits, expected = _ONE[key]
        if not fits(value):
            raise _wrong(path, key, f"{shown(value)} is not {expected}", f"write {expected}")
        return value
    fits, expected = _MANY[key]
    if not isinstance(value, list) or not value:
        raise _wrong(path, key, f"{shown(value)} is not a list", f"write a list, each of it {expected}")
    seen: set[str] = set()
    for entry in value:
        if not fits(entry):
            raise _wrong(path, key, f"{shown(entry)} is not {expected}", f"write {expected}")
        if str(entry) in seen:
            raise _wrong(path, key, f"{shown(entry)} is listed twice", "list it once")
        seen.add(str(entry))
    return tuple(str(v) for v in value) if key == "power_modes" else tuple(value)


def _template(path: Path, key: str, text: str) -> str:
    """``text`` as a path relative to the suite's folder. EdgekitError for placeholders other than the three."""
    rest = _filled(text, dict.fromkeys(("student", "size", "precision"), ""))
    if "{" in rest or "}" in rest:
        raise _wrong(
            path, key, f"{shown(text)} has a placeholder that cannot be filled", "use {student}, {size}, {precision}"
        )
    return str(path.parent / text)


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _wrong(path: Path, key: str, what: str, fix: str) -> EdgekitError:
    return EdgekitError(what, where=f"{path}: {key}" if key else str(path), fix=fix)
