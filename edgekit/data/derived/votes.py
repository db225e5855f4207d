"""Derived from class maps alone: votes, other classes, majorities, and how far experts disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from edgekit.data.class_names import FewClasses
from edgekit.data.derived.derivation import Derivation, DeriveCommon, Needs
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.tasks import Task, kind_of
from edgekit.tasks.task import IGNORE


class VoteConfig(DeriveCommon):
    """1 where at least ``least`` of the class maps (default: more than half) have one of their ``members``."""

    derive: Literal["vote"]
    members: dict[str, list[str]] = Field(description="map of `of` -> its classes that count")
    least: int | None = Field(None, ge=1)


class Vote(Derivation):
    """A pixel without a class (255) does not vote."""

    Config = VoteConfig

    def __init__(self, config: VoteConfig, needs: Needs):
        needs.expect(more="semantic", least=1)
        names = [task.name for task in needs.tasks]
        if sorted(config.members) != sorted(names):
            what = f"members names {', '.join(config.members) or 'nothing'}, and of {', '.join(names)}"
            raise EdgekitError(what, where=f"{needs.where}.members", fix="list the classes of each of the maps")
        self._tables = [needs.table(t, config.members[t.name], f"members.{t.name}") for t in needs.tasks]
        self._least = config.least or len(names) // 2 + 1
        if self._least > len(names):
            raise EdgekitError(
                f"{self._least} of {len(names)} maps can never vote",
                where=f"{needs.where}.least",
                fix=f"give 1 to {len(names)}, or leave it out: more than half of them",
            )
        self.task = Task("", "binary")

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        votes = np.zeros(maps[0].shape, np.uint8)
        for table, classes in zip(self._tables, maps, strict=True):
            votes += table[classes]
        return (votes >= self._least).astype(np.uint8)


class MapClassesConfig(DeriveCommon):
    """A class map in other classes: ``classes`` is new class -> classes of the map that become it."""

    derive: Literal["map_classes"]
    classes: Annotated[dict[str, list[str]], FewClasses] = Field(min_length=1)
    rest: str | None = Field(None, description="the new class of all that are not listed")
    colours: list[tuple[int, int, int]] = Field([], description="of the new classes, in their order")
    ignore: list[str] = Field([], description="classes that become no class")


class MapClasses(Derivation):
    """A pixel without a class (255) stays without."""

    Config = MapClassesConfig

    def __init__(self, config: MapClassesConfig, needs: Needs):
        needs.expect("semantic")
        (theirs,), ours = needs.tasks, list(config.classes)
        where = f"{needs.where}.classes"
        if config.rest is not None and config.rest not in ours:
            fix = did_you_mean(config.rest, ours)
            raise EdgekitError(f"rest is no new class: '{config.rest}'", where=f"{needs.where}.rest", fix=fix)
        self._table = np.full(256, IGNORE, np.uint8)
        if config.rest is not None:
            self._table[: len(theirs.classes)] = ours.index(config.rest)
        given: set[int] = set()
        for name, members in [*config.classes.items(), (None, config.ignore)]:
            key = f"classes.{name}" if name is not None else "ignore"
            for index in np.flatnonzero(needs.table(theirs, members, key)).tolist():
                if index in given:
                    raise EdgekitError(
                        f"the class '{theirs.classes[index]}' is used twice",
                        where=f"{needs.where}.{key}",
                        fix="list each class once",
                    )
                given.add(index)
                self._table[index] = ours.index(name) if name is not None else IGNORE
        left = [name for i, name in enumerate(theirs.classes) if i not in given]
        if left and config.rest is None:
            fix = "list it under a new class or under ignore, or name a class for all the rest"
            raise EdgekitError(f"the class '{left[0]}' of '{theirs.name}' becomes none", where=where, fix=fix)
        self.task = Task("", "semantic", classes=tuple(ours), colours=tuple(config.colours))
        if config.colours and len(config.colours) != len(ours):
            raise EdgekitError(
                "colours needs one entry per class",
                where=f"{needs.where}.colours",
                fix=f"give {len(ours)}, or leave colours out",
            )

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        return self._table[maps[0]]


class MajorityConfig(DeriveCommon):
    """The class that most of the class maps have; of several such classes the one of the lowest index."""

    derive: Literal["majority"]


class Majority(Derivation):
    """A pixel without a class (255) does not vote; where no map has a class, the result is 255."""

    Config = MajorityConfig

    def __init__(self, config: MajorityConfig, needs: Needs):
        needs.expect(more="semantic", least=2)
        needs.same_classes()
        self.task = replace(needs.tasks[0], name="")

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        return _winner(maps)[0]


def _winner(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 each: the class with most votes, the lowest of several, 255 without votes; and its votes."""
    best, most = np.full(maps[0].shape, IGNORE, np.uint8), np.zeros(maps[0].shape, np.uint8)
    for candidate in maps:
        votes = np.zeros(best.shape, np.uint8)
        for other in maps:
            votes += other == candidate
        votes[candidate == IGNORE] = 0
        better = (votes > most) | ((votes == most) & (candidate < best))
        best, most = np.where(better, candidate, best), np.where(better, votes, most)
    return best, most


class DisagreementConfig(DeriveCommon):
    """How far maps of the same thing differ, in 0-1."""

    derive: Literal["disagreement"]


class Disagreement(Derivation):
    """As an ensemble's: of class and binary maps the share that votes for another class than the majority; of depth
    maps twice the standard deviation of the encoded depth; of normals one minus the length of their mean.

    NaN where fewer than two of the maps have a value.
    """

    Config = DisagreementConfig

    def __init__(self, config: DisagreementConfig, needs: Needs):
        kind = needs.tasks[0].kind
        if kind not in ("semantic", "binary", "depth", "normals"):
            raise EdgekitError(
                f"maps of the kind {kind} have no disagreement",
                where=f"{needs.where}.of",
                fix="list maps of one of the kinds semantic, binary, depth and normals under of",
            )
        needs.expect(more=kind, least=2)
        needs.same_classes()
        if kind == "depth" and len({task.unit for task in needs.tasks}) > 1:
            raise EdgekitError(
                "some of the depth maps are in metres, others relative",
                where=f"{needs.where}.of",
                fix="list maps of one unit under of",
            )
        self._of = needs.tasks[0]
        self.task = Task("", "modality", channels=1)

    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        if maps[0].dtype == np.uint8:
            count = sum((m != IGNORE).astype(np.float32) for m in maps)
            spread = 1 - _winner(maps)[1] / np.maximum(count, 1)
        else:
            encoded = [kind_of(self._of).encode(self._of, m) for m in maps]  # (H, W, C), NaN where invalid
            valid = [~np.isnan(e[..., 0]) for e in encoded]
            count = sum(v.astype(np.float32) for v in valid)
            values = [np.where(v[..., None], e, 0) for v, e in zip(valid, encoded, strict=True)]
            mean = sum(values) / np.maximum(count, 1)[..., None]
            if self._of.kind == "normals":
                spread = 1 - np.sqrt((mean * mean).sum(axis=-1))
            else:
                squares = sum(np.where(v, (x - mean)[..., 0] ** 2, 0) for v, x in zip(valid, values, strict=True))
                spread = 2 * np.sqrt(squares / np.maximum(count, 1))
        return np.where(count >= 2, np.clip(spread, 0, 1), np.nan).astype(np.float32)
