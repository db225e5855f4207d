"""The export section of a recipe, but for quantization."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Upsampling = Literal["nearest", "bilinear"]
Floats = Literal["float32", "float16"]
NetworkSide = Annotated[int, Field(ge=16, le=8192, multiple_of=16)]


class OpenDimensions(BaseModel):
    """Least, usual and most of what ``--dynamic`` leaves open: (least, usual, most)."""

    model_config = ConfigDict(extra="forbid")
    batch: tuple[int, int, int] = Field((1, 1, 8), description="frames at once")
    scale: tuple[float, float, float] = Field(
        (0.5, 1.0, 2.0), description="factors of the network's size, rounded to multiples of 16"
    )

    @model_validator(mode="after")
    def _are_ordered(self) -> OpenDimensions:
        for name, (least, usual, most) in (("batch", self.batch), ("scale", self.scale)):
            if not 0 < least <= usual <= most:
                raise ValueError(f"{name} must be (least, usual, most) above 0, got {(least, usual, most)}")
        return self


class ExportConfig(BaseModel):
    """How the student is deployed. Nothing here changes what is trained."""

    model_config = ConfigDict(extra="forbid")
    size: tuple[NetworkSide, NetworkSide] | None = Field(
        None,
        description="(height, width) of the network's input; none: the frames' size × student.input_scale, up to 16",
    )
    fit: Literal["letterbox", "stretch"] = Field(
        "letterbox", description="how frames of another size are fitted into it: one factor and padding, or two factors"
    )
    outputs: dict[str, list[str]] = Field(
        {}, description="forms by task; a task not named gives its native map: classes, mask, depth or normals"
    )
    # A student answers at a quarter of the size at which it sees frames: decided there, classes have blocks for edges,
    # and files would score a point less than the module that the table is of.
    upsampling: Upsampling = Field(
        "bilinear", description="class maps: decided at the student's resolution, or bilinear logits before argmax"
    )
    floats: Floats = Field("float32", description="type of probabilities, depth and normals")
    open: OpenDimensions = OpenDimensions()
