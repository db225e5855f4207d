"""Recipe keys of augmentation, the same for every source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AugmentConfig(BaseModel):
    """Random geometry and colour, drawn anew for every frame of every step."""

    model_config = ConfigDict(extra="forbid")
    flip: bool = Field(True, description="mirror left-right, half of the time")
    vertical_flip: bool = Field(False, description="mirror top-bottom, half of the time: for cameras looking down")
    rotate: float = Field(0.0, ge=0, le=180, description="largest in-plane rotation in degrees, half of the time")
    scale: tuple[float, float] = Field((0.75, 1.5), description="zoom, log-uniform between these two")
    colour: float = Field(0.3, ge=0, le=1, description="strength of brightness, contrast, saturation and tint changes")
    cutmix: float = Field(0.0, ge=0, le=1, description="share of frames that get a rectangle of another one")

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> AugmentConfig:
        least, most = self.scale
        if not 0.1 <= least <= most <= 10:
            raise ValueError(f"scale must be (least, most) with 0.1 <= least <= most <= 10, got {self.scale}")
        return self
