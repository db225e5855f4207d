"""The section of a recipe for the training of a network."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.data.config import AugmentConfig
from edgekit.errors import EdgekitError


class TrainConfig(BaseModel):
    """Steps, batches and the optimiser; the learning rate warms up linearly and decays by a cosine to zero."""

    model_config = ConfigDict(extra="forbid")
    steps: int = Field(2000, ge=1)
    batch_size: int = Field(8, ge=1, description="frames per step")
    labelled_share: float = Field(
        0.5, ge=0, le=1, description="share of each batch drawn from labelled frames; the rest from unlabelled ones"
    )
    crop: tuple[int, int] = Field((192, 288), description="(height, width) of what the network sees of a frame")
    label_stride: int = Field(
        1, ge=1, le=8, description="compare with labels at 1/this of the crop's resolution; 2 saves a quarter of a step"
    )
    optimiser: Literal["adamw", "muon"] | None = Field(
        None,
        description="muon: orthogonalised steps for the kernels between hidden maps, AdamW for the rest; none: muon "
        "for networks that start from nothing, adamw for pretrained encoders",
    )
    learning_rate: float | None = Field(None, gt=0, description="none: 5e-3, or 1.5e-3 for pretrained encoders")
    weight_decay: float = Field(1e-2, ge=0)
    warmup: int = Field(100, ge=0, description="steps of linear warm-up")
    clip: float = Field(5.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights that are kept; 0 keeps the last")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where the device computes it natively, else fp32"
    )
    micro_batches: int | None = Field(
        None,
        ge=1,
        description="parts of a batch, each with batch-norm statistics of its own, whose gradients are averaged: less "
        "memory in one process, and what several processes share; none: one per process",
    )
    compile: bool = Field(False, description="torch.compile the network: a slow start, then faster steps")
    workers: int = Field(2, ge=1, description="threads that load and augment")
    checkpoint_every: float = Field(60.0, gt=0, description="seconds between checkpoints")
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _crop_is_usable(self) -> TrainConfig:
        if min(self.crop) < 32:
            raise ValueError(f"crop must be at least 32×32, got {self.crop}")
        if any(side % 4 for side in self.crop):  # networks answer at a quarter: half a pixel of that would be a shift
            raise ValueError(f"crop must be of multiples of 4, got {self.crop}")
        return self

    def resolved(self, family: type) -> TrainConfig:
        """With the defaults of a network family (its attribute ``training``) where the recipe sets no value."""
        usual = {"optimiser": "muon", "learning_rate": 5e-3, **getattr(family, "training", {})}
        return self.model_copy(update={key: value for key, value in usual.items() if getattr(self, key) is None})

    def parts(self, processes: int, key: str = "train") -> int:
        """Micro-batches per batch. EdgekitError where batch or micro-batches cannot be divided evenly.

        ``key``: the section of the recipe that this is, for that message.
        """
        parts = self.micro_batches or processes
        if parts % processes or self.batch_size % parts:
            raise EdgekitError(
                f"a batch of {self.batch_size} frames in {parts} micro-batches cannot be shared by {processes} "
                "processes evenly",
                where=f"{key}.micro_batches",
                fix="make batch_size a multiple of micro_batches, and that a multiple of the number of processes",
            )
        return parts

    def supervised(self, has_others: bool) -> int:
        """Labelled frames per batch: all where none is unlabelled, and at least one unless the share is 0."""
        if not has_others:
            return self.batch_size
        return max(round(self.batch_size * self.labelled_share), 1 if self.labelled_share else 0)
