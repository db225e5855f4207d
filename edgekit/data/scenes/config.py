"""Recipe keys of the procedural world."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

# Raised whenever the same config would give other pixels, so that no cache holds frames of two generators.
GENERATOR = 8

WorldSide = Annotated[int, Field(ge=16, le=2160)]


class SceneCounts(BaseModel):
    """Number of worlds per split; no world is in two splits."""

    model_config = ConfigDict(extra="forbid")

    train: int = Field(6, ge=1, le=1000)
    val: int = Field(2, ge=0, le=1000)
    test: int = Field(2, ge=0, le=1000)


class FrameCounts(BaseModel):
    """Frames of each world of a split."""

    model_config = ConfigDict(extra="forbid")

    train: int = Field(40, ge=1, le=100_000)
    val: int = Field(40, ge=1, le=100_000)
    test: int = Field(40, ge=1, le=100_000)


class CameraConfig(BaseModel):
    """What a flight's camera does, each flight with values of its own; every flight also sways, climbs and pans."""

    model_config = ConfigDict(extra="forbid")

    altitude: tuple[float, float] = Field(
        (42.0, 66.0), description="metres above valleys, drawn between these; less over hills"
    )
    pitch: tuple[float, float] = Field(
        (-34.0, -19.0), description="mean degrees above the horizon, drawn between these; it nods by up to 15 about it"
    )
    roll: float = Field(2.5, ge=0, le=40, description="degrees, how far it rolls to both sides")

    @field_validator("altitude", "pitch")
    @classmethod
    def _in_order(cls, value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        least, most = {"altitude": (20, 200), "pitch": (-60, 0)}[info.field_name]
        if not least <= value[0] <= value[1] <= most:
            raise ValueError(f"the lower first, both from {least} to {most}, got {list(value)}")
        return value


class ScenesConfig(BaseModel):
    """The procedural UAV world: its seed, its size and how much of it is labelled.

    size      (height, width) in pixels
    frames_per_scene  one number for all splits, or one for each
    spacing   steps of the flight (2.6 m) from one train frame to the next: neighbours show almost the same, and what
              is learned from are views. ``val`` and ``test`` are films, whose frames follow each other
    camera    heights and attitudes of the flights
    labelled  share of the train frames that count as labelled, spread evenly over the split
    """

    model_config = ConfigDict(extra="forbid")

    seed: int = Field(0, ge=0)
    size: tuple[WorldSide, WorldSide] = (160, 288)
    scenes: SceneCounts = SceneCounts()
    frames_per_scene: Annotated[int, Field(ge=1, le=100_000)] | FrameCounts = 40
    spacing: int = Field(1, ge=1, le=1000)
    camera: CameraConfig = CameraConfig()
    labelled: float = Field(1.0, ge=0.0, le=1.0)

    def indices(self, split: str) -> range:
        """The steps of each flight that are frames of the split."""
        counts = self.frames_per_scene
        step = self.spacing if split == "train" else 1
        return range(0, step * (counts if isinstance(counts, int) else getattr(counts, split)), step)

    def fingerprint(self) -> str:
        """Hash of all that decides a frame's pixels.

        Number of scenes, frames per scene, their spacing and the labelled share are left out: a frame does not depend
        on them, so that asking for more scenes keeps the frames already rendered.
        """
        decisive = self.model_dump(include={"seed", "size", "camera"}) | {"generator": GENERATOR}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]
