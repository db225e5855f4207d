"""What a map holds, as a recipe says it of a folder or of a network's output."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.data.class_names import ClassNames
from edgekit.tasks import KINDS, Task

Level = Annotated[int, Field(ge=0, le=255)]


class MapConfig(BaseModel):
    """A task that the data does not describe by itself.

    kind      semantic (``classes`` in index order), depth (metres with ``unit: m``, else 0-1), normals, binary or
              modality (``channels`` floats; uint8 with ``range: [0, 255]``; ``vector: true`` where the first two are a
              displacement in the picture, such as optical flow)
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal[tuple(KINDS)]  # type: ignore[valid-type]
    classes: ClassNames = []
    colours: list[tuple[Level, Level, Level]] = []
    weights: list[Annotated[float, Field(ge=0)]] = []
    channels: int = Field(1, ge=1, le=512)
    range: tuple[float, float] | None = None
    unit: Literal["", "m"] = ""
    vector: bool = False

    @model_validator(mode="after")
    def _fits_its_kind(self) -> MapConfig:
        if (self.kind == "semantic") != bool(self.classes):
            raise ValueError("classes are needed for the kind semantic, and for no other")
        for name in ("colours", "weights"):
            given = getattr(self, name)
            if given and len(given) != len(self.classes):
                raise ValueError(f"{name} needs one entry per class: {len(self.classes)}, not {len(given)}")
        if self.range and self.range[0] >= self.range[1]:
            raise ValueError(f"range must be [least, most], got {list(self.range)}")
        if self.vector and (self.kind != "modality" or self.channels < 2):
            raise ValueError("vector is for a modality of two channels or more: x and y of a displacement")
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
            vector=self.vector,
        )
