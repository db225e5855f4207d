"""Recipe keys of augmentation, the same for every source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

LEAST_SCALE = 0.02
"""Of frames before any network: photographs of 4000×3000 become 80×60 by it."""


class AugmentConfig(BaseModel):
    """Random geometry and colour, drawn anew for every frame of every step."""

    model_config = ConfigDict(extra="forbid")
    flip: bool = Field(True, description="mirror left-right, half of the time")
    vertical_flip: bool = Field(False, description="mirror top-bottom, half of the time: for cameras looking down")
    rotate: float = Field(0.0, ge=0, le=180, description="largest in-plane rotation in degrees, half of the time")
    scale: tuple[float, float] | None = Field(
        None,
        description="zoom, log-uniform between these two; none: 0.7 to 1.6 times student.input_scale, and for teachers "
        "1 to 2.4 times the size at which a frame's sides are 1.25 times those of a crop",
    )
    exact: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of crops that show a frame at its own size, to the pixel; none: a quarter where the network "
        "sees frames so after training, else 0",
    )
    colour: float = Field(0.3, ge=0, le=1, description="strength of brightness, contrast, saturation and tint changes")
    cutmix: float = Field(0.0, ge=0, le=1, description="share of frames that get a rectangle of another one")

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> AugmentConfig:
        if self.scale and not LEAST_SCALE <= self.scale[0] <= self.scale[1] <= 10:
            raise ValueError(f"scale must be (least, most) with {LEAST_SCALE} <= least <= most <= 10, got {self.scale}")
        return self
