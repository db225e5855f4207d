"""What a recipe may say of quantization."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgekit.part_schema import Name
from edgekit.quantize.observers import OBSERVERS, Observer
from edgekit.quantize.observers.percentile import Percentile


class GateConfig(BaseModel):
    """How much accuracy INT8 may cost; of each task the metric it has."""

    model_config = ConfigDict(extra="forbid")
    miou_points: float = Field(1.0, ge=0, description="semantic and binary: most loss of mIoU or IoU, in points of 100")
    absrel_percent: float = Field(2.0, ge=0, description="depth: most rise of AbsRel, in % of its value")
    normals_degrees: float = Field(1.0, ge=0, description="normals: most rise of the mean angle")


class QuantizeConfig(BaseModel):
    """How INT8 ranges are found, and what is done where they cost too much."""

    model_config = ConfigDict(extra="forbid")
    observer: Annotated[str, Name(OBSERVERS)] = Field("entropy", description="how a range is chosen")
    percentile: float = Field(99.99, ge=99, le=100, description="share of values kept by the percentile observer, %")
    frames: int = Field(300, ge=1, description="most calibration frames, spread over the scenes of train")
    gate: GateConfig = GateConfig()
    gate_frames: int = Field(200, ge=1, description="most labelled train frames that the gate scores a candidate on")
    recover: bool = Field(True, description="equalise, correct biases and leave layers in float where the gate fails")
    keep_float: list[str] = Field([], description="layers that are left in float in any case, by name")
    reduce_range: bool = Field(
        False, description="weights of 7 bits in the CPU file: for x86 processors without VNNI, whose sums saturate"
    )

    def build_observer(self) -> Observer:
        return Percentile(self.percentile) if self.observer == "percentile" else OBSERVERS[self.observer]()
