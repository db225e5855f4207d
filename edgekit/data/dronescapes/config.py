"""Recipe keys of data in the layout of Dronescapes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgekit.data.folders import FileName, Pattern, Side
from edgekit.data.map_config import MapConfig


class DronescapesConfig(BaseModel):
    """A root with folders ``<set>/<task>/*.npz`` (also ``<task>/npz/`` and ``<task>/part*/``).

    root         the folder that holds the sets; relative to the recipe's own folder, ``~`` is the home folder
    splits       split -> sets. None: train is train_set and semisupervised_set, val is validation_set, test is
                 test_set; those that exist, each with ``_annotated_only`` behind its name where only that exists
    unlabelled   sets whose labels are never read
    labels       folders that hold labels: a frame with none of them is unlabelled (default: the published ones, or
                 what ``edgekit.json`` says)
    tasks        what folders hold that are not known by their published names
    scene_regex  found in a frame's name, its first group (or all of it) is the frame's scene (default: what stands
                 before the first ``_``; of names that are mere numbers the scene is the set)
    size         (height, width) to resize every frame to (default: as it is)
    film         frames of a scene with consecutive numbers are consecutive moments (default: true, or what
                 ``edgekit.json`` says)
    """

    model_config = ConfigDict(extra="forbid")

    root: Path
    splits: dict[FileName, list[str]] | None = Field(None, min_length=1)
    unlabelled: list[str] = ["semisupervised_set", "semisupervised_set_annotated_only"]
    labels: list[str] | None = None
    tasks: dict[FileName, MapConfig] = {}
    scene_regex: Pattern = "^[^_]+"
    size: tuple[Side, Side] | None = None
    film: bool | None = None

    @field_validator("splits")
    @classmethod
    def _each_set_once(cls, splits: dict[str, list[str]] | None) -> dict[str, list[str]] | None:
        named = [name for sets in (splits or {}).values() for name in sets]
        if len(set(named)) < len(named):
            raise ValueError("a set belongs to one split and stands there once")
        if any(not sets for sets in (splits or {}).values()):
            raise ValueError("a split needs at least one set")
        return splits
