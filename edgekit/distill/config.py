"""The sections of a recipe for targets, distillation and the labels-only baseline."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from edgekit.heads import HEADS
from edgekit.losses import LOSSES, OWN, Detail
from edgekit.part_schema import Section
from edgekit.training.config import TrainConfig

USUAL_LOSSES = ("soft", "regression", "normals")


def teaches(loss: str, kind: str) -> bool:
    """Whether a loss is for tasks of a kind: the loss names the kind, or the kind names the loss."""
    return kind in LOSSES[loss].kinds or loss in HEADS[kind].losses


LossesConfig = create_model(
    "LossesConfig",
    __config__=ConfigDict(extra="forbid"),
    __doc__="The distillation losses that are switched on, by name.",
    **{name: (loss.Config | None, None) for name, loss in OWN.items()},
)


@cache
def _losses(names: tuple[str, ...]) -> TypeAdapter:
    """LossesConfig, with fields for the losses of other packages among ``names``."""
    foreign = {name: (LOSSES[name].Config | None, None) for name in names if name not in OWN}
    return TypeAdapter(create_model("LossesConfig", __base__=LossesConfig, **foreign) if foreign else LossesConfig)


class TargetsConfig(BaseModel):
    """What is stored of the ensemble's prediction for each frame."""

    model_config = ConfigDict(extra="forbid")
    stride: int = Field(
        4, ge=1, le=16, description="frame pixels per stored pixel; the student is compared at this size"
    )
    keep: Detail = Field("full", description="of a class distribution: argmax, topk, or full")
    top: int = Field(3, ge=2, le=16, description="how many classes `topk` keeps")


class DistillConfig(BaseModel):
    """How the student learns: from labels where there are any, from the ensemble everywhere."""

    model_config = ConfigDict(extra="forbid")
    losses: Annotated[LossesConfig, Section(LOSSES, list, _losses)] | None = Field(
        None, description="exactly these; none: soft targets, log-L1 depth and cosine normals, as the tasks need them"
    )
    supervised: float = Field(1.0, ge=0, description="weight of the labels, where there are labels")
    start: Literal["teacher", "labels", "nothing"] | None = Field(
        None,
        description="what the student's weights begin as. teacher: the first one, with rgb alone visible; labels: the "
        "labels-only student; none: teacher where it has the student's family and shape, else labels. The labels-only "
        "student itself begins as for nothing: with an encoder's weights (student.weights) or drawn ones",
    )
    unless_better: Literal["stop", "warn"] = Field(
        "stop",
        description="what to do where the ensemble is worse than the labels-only student in a trial on held-back "
        "labelled frames; with fewer than 32 labelled frames there is no trial",
    )
    agreement: bool = Field(True, description="weight each pixel by how much the ensemble's members agree")
    train: TrainConfig = TrainConfig()

    def active(self, kinds: Collection[str] | None = None) -> dict:
        """The losses that are on: name → config. ``kinds``: of the recipe's tasks, which decide the usual ones."""
        if self.losses is None:
            if kinds is None:
                return {name: LOSSES[name].Config() for name in USUAL_LOSSES}
            names = dict.fromkeys([*USUAL_LOSSES, *(n for kind in kinds for n in HEADS[kind].losses[:1])])
            return {name: LOSSES[name].Config() for name in names if any(teaches(name, kind) for kind in kinds)}
        settings = {name: getattr(self.losses, name) for name in type(self.losses).model_fields}
        return {name: config for name, config in settings.items() if config is not None and config.weight > 0}


class BaselineConfig(BaseModel):
    """The same student on labels only: same steps, batch size and augmentation, a learning rate of its own."""

    model_config = ConfigDict(extra="forbid")
    learning_rate: float | None = Field(None, gt=0, description="none: the distilled student's")
