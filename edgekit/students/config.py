"""The section of a recipe for the student."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit import limits
from edgekit.data.config import LEAST_SCALE
from edgekit.networks import check_shape, encoder_of
from edgekit.part_schema import Name
from edgekit.students.registry import STUDENTS


class StudentConfig(BaseModel):
    """A registered student and the changes to its shape."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Name(STUDENTS)] = "lite"
    modalities: list[str] = Field(
        ["rgb"], min_length=1, description=f"what it sees, of at most {limits.MODALITY_CHANNELS} channels in all"
    )
    may_lack: list[str] = Field(
        [], description="modalities that a frame may come without; training hides them from half of the frames"
    )
    width: int | None = Field(
        None, ge=1, le=256, description="channels of its widest resolution; none: the student's own"
    )
    shape: dict[str, int | list[int]] = Field(
        {},
        description="other arguments of its family's network than its own: blocks: [1, 2] and dilations: [2, 4] of "
        "repseg, stages: 4 and dilations: [2, 4] of lite",
    )
    weights: str | None = Field(
        None,
        description="of a student with a pretrained encoder: imagenet, none, or a file, relative to the recipe; "
        "imagenet by default",
    )
    input_scale: float | None = Field(
        None,
        ge=LEAST_SCALE,
        le=1,
        description="factor by which frames are resized before the student, in scoring and on the device. In "
        "training distill.train.augment.scale decides, which must reach this. None: so that a frame's "
        "sides are 1.25 times those of distill.train.crop, at most 1; where that zoom is given, 1 or else its middle",
    )
    allow_over_limit: bool = Field(False, description="accept more than 1,000,000 parameters")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _sees_something(self) -> StudentConfig:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"each modality once, got {self.modalities}")
        unknown = [name for name in self.may_lack if name not in self.modalities]
        if unknown:
            raise ValueError(f"may_lack names {', '.join(unknown)}, which modalities does not list")
        if self.may_lack and len(self.modalities) == 1:
            raise ValueError(f"without {self.may_lack[0]} the student would see nothing")
        return self

    @model_validator(mode="after")
    def _weights_have_an_encoder(self) -> StudentConfig:
        if self.weights is None:
            return self  # a part of another package is imported where it is needed
        spec = STUDENTS[self.name]
        if encoder_of(spec.family, spec.shape) is None:
            raise ValueError(f"weights go with a student that has a pretrained encoder; '{self.name}' has none")
        return self

    @model_validator(mode="after")
    def _shape_makes_a_network(self) -> StudentConfig:
        if self.shape:
            check_shape(STUDENTS[self.name].family, STUDENTS[self.name].shape, self.shape)
        return self

    def arguments(self) -> dict[str, Any]:
        """The arguments of a ``Student`` that the recipe gives."""
        return self.model_dump(include={"width", "shape", "input_scale", "allow_over_limit"})
