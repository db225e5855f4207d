"""What a search varies: keys of the recipe, each with choices or a range."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from edgekit.errors import EdgekitError
from edgekit.networks import FAMILIES, resolved_shape
from edgekit.recipe.schema import Recipe
from edgekit.students.registry import STUDENTS
from edgekit.students.student import student_shape
from edgekit.tasks import Task

PRECISION = "precision"
"""The one key that no recipe has: what `edgekit export --precision` takes."""
_SCALES = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0)
_VARIABLE = ("student.", "distill.", "export.")
_STEPS = "distill.train.steps"


@dataclass(frozen=True)
class Choices:
    """Values as `--set` takes them."""

    values: tuple[str, ...]

    def suggest(self, trial: Any, key: str) -> str:
        return trial.suggest_categorical(key, self.values)

    def parameter(self, value: Any) -> str | None:
        """The study's parameter for a value; None if the value is not among the choices."""
        return next((text for text in self.values if _value(text) == value), None)

    def smallest(self) -> str:
        return min(self.values, key=lambda text: _amount(_value(text)))

    def __str__(self) -> str:
        return ", ".join(self.values)


@dataclass(frozen=True)
class Interval:
    """Numbers from ``low`` to ``high``, whole ones where both are."""

    low: float
    high: float
    log: bool

    def suggest(self, trial: Any, key: str) -> str:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return str(trial.suggest_int(key, self.low, self.high, log=self.log))
        return f"{trial.suggest_float(key, self.low, self.high, log=self.log):.4g}"

    def parameter(self, value: Any) -> float | None:
        return value if isinstance(value, (int, float)) and self.low <= value <= self.high else None

    def smallest(self) -> str:
        return str(self.low)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}"


Space = Mapping[str, Choices | Interval]


def space_of(recipe: Recipe, tasks: Sequence[Task], precisions: Sequence[str], vary: Sequence[str]) -> Space:
    """What the recipe's student offers, with ``vary`` (``KEY=A,B,C`` or ``KEY=LOW:HIGH[:log]``) added or in its place.

    EdgekitError for a text of another form, and for a key that all candidates share.
    """
    spec, least, most = STUDENTS[recipe.student.name], *recipe.distill.train.augment.scale
    offered = {_key(name): list(values) for name, values in spec.search.items()}
    offered["student.input_scale"] = [scale for scale in _SCALES if least <= scale <= most]
    if any(task.classes for task in tasks):
        offered["export.upsampling"] = ["nearest", "bilinear"]
    space: dict[str, Choices | Interval] = {}
    for key, values in offered.items():
        own = own_value(recipe, key)
        texts = [_text(value) for value in (values if own in values else [*values, own])]
        space[key] = Choices(tuple(sorted(texts, key=lambda text: _amount(_value(text)))))
    space = {**space, PRECISION: Choices(tuple(precisions)), **dict(_varied(text) for text in vary)}
    if unknown := [text for text in getattr(space[PRECISION], "values", ("a range",)) if text not in precisions]:
        fix = f"use some of {', '.join(precisions)}"
        raise EdgekitError(f"the precision {unknown[0]} is not measured here", where="--vary", fix=fix)
    return space


def own_value(recipe: Recipe, key: str) -> Any:
    """What the recipe says of a key, or what stands for it where it says nothing."""
    student, name = recipe.student, key.rpartition(".")[2]
    family, shape = student_shape(student.name, student.width, student.shape)
    if key == _key(name):
        value = resolved_shape(family, shape).get(name)
        return list(value) if isinstance(value, tuple) else value
    found = recipe.model_dump(mode="json")
    found["distill"]["train"] = recipe.distill.train.resolved(FAMILIES[family]).model_dump(mode="json")
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def own_parameters(recipe: Recipe, space: Space) -> dict[str, Any] | None:
    """The study's parameters of the recipe's own student, in the first precision; None where it lies outside."""
    values = {key: part.parameter(own_value(recipe, key)) for key, part in space.items() if key != PRECISION}
    values[PRECISION] = space[PRECISION].values[0]
    return None if None in values.values() else values


def smallest(space: Space) -> Iterator[dict[str, str]]:
    """The least of every number and list, in every combination of precision and upsampling: one of them is fastest."""
    least = {key: part.smallest() for key, part in space.items()}
    open_ = [key for key in (PRECISION, "export.upsampling") if isinstance(space.get(key), Choices)]
    for values in itertools.product(*(space[key].values for key in open_)):
        yield least | dict(zip(open_, values, strict=True))


def overrides_of(values: Mapping[str, str]) -> list[str]:
    """A candidate as texts for `--set`."""
    return [f"{key}={text}" for key, text in values.items() if key != PRECISION]


def _key(name: str) -> str:
    return "student.width" if name == "width" else f"student.shape.{name}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)  # 1e-3 too, which YAML 1.1 takes for a text
    except ValueError:
        return yaml.safe_load(text)


def _amount(value: Any) -> tuple[float, ...]:
    if isinstance(value, list):
        return (len(value), *(sum(_amount(one)) for one in value))
    return (float(value),) if isinstance(value, (int, float)) else (0.0,)


def _varied(text: str) -> tuple[str, Choices | Interval]:
    key, equals, values = (part.strip() for part in text.partition("="))
    if not (key and equals and values):
        raise _wrong(text, "is not KEY=VALUES")
    if key != PRECISION and (key == _STEPS or not key.startswith(_VARIABLE)):
        why = "the rungs of the search set the steps" if key == _STEPS else "all candidates share data and teachers"
        fix = f"vary keys below {', '.join(_VARIABLE)} and change the others with --set"
        raise EdgekitError(f"'{key}' cannot be varied: {why}", where=f"--vary {text}", fix=fix)
    if match := re.fullmatch(r"([^:,\[\]]+):([^:,\[\]]+?)(:log)?", values):
        try:
            low, high = (_number(bound.strip()) for bound in match.group(1, 2))
        except ValueError:
            raise _wrong(text, "has bounds that are no numbers") from None
        if not low < high or not math.isfinite(high - low) or (match[3] and low <= 0):
            raise _wrong(text, "has bounds that are no range")
        if isinstance(low, int) != isinstance(high, int):
            low, high = float(low), float(high)
        return key, Interval(low, high, bool(match[3]))
    try:
        listed = yaml.safe_load(f"[{values}]")
    except yaml.YAMLError:
        raise _wrong(text, "has values that are no list") from None
    return key, Choices(tuple(dict.fromkeys(_text(value) for value in listed)))


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _wrong(text: str, what: str) -> EdgekitError:
    fix = "write KEY=A,B,C or KEY=LOW:HIGH, with :log behind it for a logarithmic range"
    return EdgekitError(f"'{text}' {what}", where="--vary", fix=fix)
