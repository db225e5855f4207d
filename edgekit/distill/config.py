"""What a recipe may say of targets, distillation and the labels-only baseline."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, create_model

from edgekit.losses import LOSSES, Content
from edgekit.training.config import TrainConfig

LossesConfig = create_model(
    "LossesConfig",
    __config__=ConfigDict(extra="forbid"),
    __doc__="The distillation losses that are switched on, by name.",
    **{name: (loss.Config | None, None) for name, loss in LOSSES.items()},
)


class TargetsConfig(BaseModel):
    """What is stored of the ensemble's word on each frame."""

    model_config = ConfigDict(extra="forbid")
    stride: int = Field(
        4, ge=1, le=16, description="frame pixels per stored pixel; the student is compared at this size"
    )
    keep: Content = Field("full", description="of a class distribution: argmax, topk, or full")
    top: int = Field(3, ge=2, le=16, description="how many classes `topk` keeps")


class DistillConfig(BaseModel):
    """How the student learns: from labels where there are any, from the ensemble everywhere."""

    model_config = ConfigDict(extra="forbid")
    losses: LossesConfig = LossesConfig(
        soft=LOSSES["soft"].Config(), regression=LOSSES["regression"].Config(), normals=LOSSES["normals"].Config()
    )
    supervised: float = Field(1.0, ge=0, description="weight of the labels, where there are labels")
    agreement: bool = Field(True, description="weight each pixel by how much the ensemble's members agree")
    train: TrainConfig = TrainConfig()

    def active(self) -> dict:
        """The losses that are on: name → config."""
        settings = {name: getattr(self.losses, name) for name in LOSSES}
        return {name: config for name, config in settings.items() if config is not None and config.weight > 0}


class BaselineConfig(BaseModel):
    """The same student on labels only: same steps, batch size and augmentation, a learning rate of its own."""

    model_config = ConfigDict(extra="forbid")
    learning_rate: float | None = Field(None, gt=0, description="none: the distilled student's")
