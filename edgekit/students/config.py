"""What a recipe may say of the student."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgekit.part_schema import Name
from edgekit.students.registry import STUDENTS


class StudentConfig(BaseModel):
    """A registered student and the changes to its shape."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Name(STUDENTS)] = "repseg"
    width: int | None = Field(
        None, ge=1, le=256, description="channels of its widest resolution; none: the student's own"
    )
    input_scale: float = Field(
        1.0,
        ge=0.1,
        le=1,
        description="frames are resized by this where the student is scored and flown; its maps come back. In "
        "training distill.train.augment.scale decides, which must reach this",
    )
    allow_over_limit: bool = Field(False, description="accept more than 1,000,000 parameters")
    seed: int = Field(0, ge=0)
