"""The section ``export.quantize`` of a recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgekit.part_schema import Name
from edgekit.quantize.observers import OBSERVERS, Observer
from edgekit.quantize.observers.percentile import Percentile
from edgekit.tasks import KINDS


class QuantizeConfig(BaseModel):
    """How INT8 ranges are found, and what is done where they cost too much."""

    model_config = ConfigDict(extra="forbid")
    observer: Annotated[str, Name(OBSERVERS)] | None = Field(
        None,
        description="how a range is chosen; null: the way, also of weights and biases, that changes the float "
        "network's answers least",
    )
    percentile: float = Field(99.99, ge=99, le=100, description="share of values kept by the percentile observer, %")
    frames: int = Field(300, ge=1, description="most calibration frames, spread over the scenes of train")
    gate: dict[Annotated[str, Name(KINDS)], Annotated[float, Field(ge=0)]] = Field(
        {}, description="kind of task: most that INT8 may cost of its primary metric, instead of the kind's own limit"
    )
    recover: bool = Field(
        True, description="where the gate fails: equalise, correct biases, train weights, leave layers in float"
    )
    train_steps: int = Field(
        500, ge=0, description="of quantization-aware fine-tuning, after which layers are left in float; 0: none"
    )
    keep_float: list[str] = Field([], description="layers that are left in float in any case, by name")
    reduce_range: bool = Field(
        False, description="weights of 7 bits in the CPU file: for x86 processors without VNNI, whose sums saturate"
    )

    def observers(self) -> dict[str, Observer]:
        """The one that is named, else those to choose from."""
        names = [self.observer] if self.observer else OBSERVERS.own()
        return {n: Percentile(self.percentile) if n == "percentile" else OBSERVERS[n]() for n in names}
