"""What a recipe may say about data in the layout of Dronescapes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgekit.tasks import Task

Side = Annotated[int, Field(ge=1, le=16384)]
Level = Annotated[int, Field(ge=0, le=255)]


class FolderConfig(BaseModel):
    """What a folder holds that neither the published names nor ``edgekit.json`` describe.

    kind      semantic (class indices), depth (metres with ``unit: m``, else 0-1), normals ((n + 1) / 2), binary (bool)
              or modality (``channels`` floats; uint8 with ``range: [0, 255]``)
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["semantic", "depth", "normals", "binary", "modality"]
    classes: list[str] = Field([], max_length=254)
    colours: list[tuple[Level, Level, Level]] = []
    weights: list[Annotated[float, Field(ge=0)]] = []
    channels: int = Field(1, ge=1, le=512)
    range: tuple[float, float] | None = None
    unit: Literal["", "m"] = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> FolderConfig:
        if (self.kind == "semantic") != bool(self.classes):
            raise ValueError("classes are needed for the kind semantic, and for no other")
        for name in ("colours", "weights"):
            given = getattr(self, name)
            if given and len(given) != len(self.classes):
                raise ValueError(f"{name} needs one entry per class: {len(self.classes)}, not {len(given)}")
        if self.range and self.range[0] >= self.range[1]:
            raise ValueError(f"range must be [least, most], got {list(self.range)}")
        if self.unit and (self.kind != "depth" or not self.range or self.range[0] <= 0):
            raise ValueError("unit: m is for depth with a range that starts above 0, e.g. [1, 300]")
        return self

    def task(self, name: str) -> Task:
        usual = {"normals": (-1.0, 1.0)}.get(self.kind, (0.0, 1.0))
        return Task(
            name,
            self.kind,
            classes=tuple(self.classes),
            colours=tuple(self.colours),
            weights=tuple(self.weights),
            channels=self.channels if self.kind == "modality" else 0,
            range=self.range or usual,
            unit=self.unit,
        )


class DronescapesConfig(BaseModel):
    """A root with folders ``<set>/<task>/*.npz`` (also ``<task>/npz/`` and ``<task>/part*/``).

    root         the folder that holds the sets; relative to the recipe's own folder, ``~`` is the home folder
    splits       split -> sets. None: train is train_set and semisupervised_set, val is validation_set, test is
                 test_set; those that exist, each with ``_annotated_only`` behind its name where only that exists
    unlabelled   sets whose labels are never read
    labels       folders that hold labels: a frame with none of them is unlabelled (default: the published ones, or
                 what ``edgekit.json`` says)
    tasks        what folders hold that are not known by their published names
    scene_regex  found in a frame's name, its first group (or all of it) is the frame's scene
    size         (height, width) to resize every frame to (default: as it is)
    film         frames of a scene with consecutive numbers are consecutive moments (default: true, or what
                 ``edgekit.json`` says)
    """

    model_config = ConfigDict(extra="forbid")

    root: Path
    splits: dict[str, list[str]] | None = Field(None, min_length=1)
    unlabelled: list[str] = ["semisupervised_set", "semisupervised_set_annotated_only"]
    labels: list[str] | None = None
    tasks: dict[str, FolderConfig] = {}
    scene_regex: str = "^[^_]+"
    size: tuple[Side, Side] | None = None
    film: bool | None = None

    @field_validator("scene_regex")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("splits")
    @classmethod
    def _each_set_once(cls, splits: dict[str, list[str]] | None) -> dict[str, list[str]] | None:
        named = [name for sets in (splits or {}).values() for name in sets]
        if len(set(named)) < len(named):
            raise ValueError("a set belongs to one split and stands there once")
        if any(not sets for sets in (splits or {}).values()):
            raise ValueError("a split needs at least one set")
        return splits
