"""What each kind of derived map implements: one file per idea, a line each in registry.py."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.tasks import Task


class PinholeCamera(BaseModel):
    """A pinhole camera: its diagonal field of view in degrees, and the (width, height) of its sensor in pixels."""

    model_config = ConfigDict(extra="forbid")
    fov: float = Field(75.0, gt=0, lt=180)
    sensor: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (3840, 2160)

    def focal_lengths(self, height: int, width: int) -> tuple[float, float]:
        """(fx, fy) in pixels of a frame of this size, which shows the whole sensor."""
        wide, high = self.sensor
        focal = math.hypot(wide / 2, high / 2) / math.tan(math.radians(self.fov) / 2)
        return focal * width / wide, focal * height / high


class DeriveCommon(BaseModel):
    """The keys that all derived maps have: ``derive`` names the kind, ``of`` the maps it is computed from."""

    model_config = ConfigDict(extra="forbid")
    of: Annotated[list[str], BeforeValidator(lambda of: [of] if isinstance(of, str) else of)] = Field(min_length=1)


@dataclass(frozen=True)
class Needs:
    """What a derived map is computed from: tasks in the order of ``of``, the camera, and its place in the pipeline."""

    tasks: Sequence[Task]
    camera: PinholeCamera
    where: str

    def expect(self, *kinds: str, more: str | None = None, least: int = 0) -> None:
        """EdgekitError where the tasks are not of these kinds, then ``least`` or more of the kind ``more``."""
        given = [task.kind for task in self.tasks]
        extra = given[len(kinds) :]
        if given[: len(kinds)] == list(kinds) and all(k == more for k in extra) and len(extra) >= least:
            return
        wanted = [*kinds, *([f"{least} or more {more} maps"] if more else [])]
        named = ", ".join(f"{task.name} ({task.kind})" for task in self.tasks)
        raise EdgekitError(
            f"it is computed from {', '.join(wanted)}, not from {named}",
            where=f"{self.where}.of",
            fix="list such maps under of, in this order",
        )

    def same_classes(self) -> None:
        """EdgekitError where two of the tasks have other classes."""
        for task in self.tasks:
            if task.classes != self.tasks[0].classes:
                raise EdgekitError(
                    f"'{task.name}' has other classes than '{self.tasks[0].name}'",
                    where=f"{self.where}.of",
                    fix="bring them to the same classes first, with derive: map_classes",
                )

    def table(self, task: Task, names: Sequence[str], key: str) -> np.ndarray:
        """(256,) bool: which class indices of ``task`` are named. EdgekitError for a class that it does not have."""
        table = np.zeros(256, bool)
        for name in names:
            if name not in task.classes:
                raise EdgekitError(
                    f"'{task.name}' has no class '{name}'",
                    where=f"{self.where}.{key}",
                    fix=did_you_mean(name, task.classes) or f"it has {', '.join(task.classes)}",
                )
            table[task.classes.index(name)] = True
        return table


class Derivation(ABC):
    """One derived map, opened: ``Derivation(config, needs)``; EdgekitError for needs that do not fit.

    ``Config``   its keys in a pipeline: a DeriveCommon with ``derive: Literal[…]``
    ``version``  raised when what ``compute`` gives changes, so that stored maps are made again
    ``ahead``    whether it is also shown the maps of the film's next frame, and absent for the last
    ``uses_camera`` whether it depends on the camera
    ``task``     what it gives, under no name yet
    """

    Config: ClassVar[type[DeriveCommon]]
    version: ClassVar[int] = 1
    ahead: ClassVar[bool] = False
    uses_camera: ClassVar[bool] = False
    task: Task

    @abstractmethod
    def compute(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        """Native maps in the order of ``of``, with ``ahead`` then those of the next frame → the native map."""
