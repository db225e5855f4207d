"""How a recipe describes the maps in a folder or in a network's output."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.data.class_names import ClassNames
from edgekit.part_schema import Name
from edgekit.tasks import KINDS, Task
from edgekit.tasks.modality import MOST_CHANNELS

ColourLevel = Annotated[int, Field(ge=0, le=255)]


class MapConfig(BaseModel):
    """A task that the data does not describe by itself.

    kind      semantic (``classes`` in index order), depth (metres with ``unit: m``, else 0-1), normals, binary,
              modality (``channels`` floats; uint8 with ``range: [0, 255]``; ``vector: true`` where the first two are a
              displacement in the picture, such as optical flow), or one that another installed package offers
    """

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Name(KINDS)]
    classes: ClassNames = []
    colours: list[tuple[ColourLevel, ColourLevel, ColourLevel]] = []
    weights: list[Annotated[float, Field(ge=0)]] = []
    channels: int = Field(1, ge=1, le=MOST_CHANNELS)
    range: tuple[float, float] | None = None
    unit: Literal["", "m"] = ""
    vector: bool = False

    @model_validator(mode="after")
    def _fits_its_kind(self) -> MapConfig:
        for name in self.model_fields_set - {"kind"} - KINDS[self.kind].fields:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is not for the kind {self.kind}")
        for name in ("colours", "weights"):
            given = getattr(self, name)
            if given and len(given) != len(self.classes):
                raise ValueError(f"{name} needs one entry per class: {len(self.classes)}, not {len(given)}")
        KINDS[self.kind].check(self.task(""))
        return self

    def task(self, name: str) -> Task:
        kind = KINDS[self.kind]
        return Task(
            name,
            self.kind,
            classes=tuple(self.classes),
            colours=tuple(self.colours),
            weights=tuple(self.weights),
            channels=self.channels if "channels" in kind.fields else 0,
            range=self.range or kind.usual_range,
            unit=self.unit,
            vector=self.vector,
        )
