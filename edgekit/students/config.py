"""The section of a recipe for the student."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.networks import encoder_of
from edgekit.part_schema import Name
from edgekit.students.registry import STUDENTS


class StudentConfig(BaseModel):
    """A registered student and the changes to its shape."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Name(STUDENTS)] = "lite"
    width: int | None = Field(
        None, ge=1, le=256, description="channels of its widest resolution; none: the student's own"
    )
    weights: str | None = Field(
        None,
        description="of a student with a pretrained encoder: imagenet, none, or a file, relative to the recipe; "
        "imagenet by default",
    )
    input_scale: float = Field(
        1.0,
        ge=0.1,
        le=1,
        description="factor by which frames are resized before the student, in scoring and on the device. In "
        "training distill.train.augment.scale decides, which must reach this",
    )
    allow_over_limit: bool = Field(False, description="accept more than 1,000,000 parameters")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _weights_have_an_encoder(self) -> StudentConfig:
        if self.weights is None:
            return self  # a part of another package is imported where it is needed
        spec = STUDENTS[self.name]
        if encoder_of(spec.family, spec.shape) is None:
            raise ValueError(f"weights go with a student that has a pretrained encoder; '{self.name}' has none")
        return self

    def shape(self) -> dict[str, Any]:
        """The arguments of a ``Student`` that the recipe gives."""
        return self.model_dump(include={"width", "input_scale", "allow_over_limit"})
