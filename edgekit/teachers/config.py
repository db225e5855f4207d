"""The sections of a recipe for teachers and their ensemble.

The paper leaves the masking distribution, whether rgb may be masked, the loss weights, the number of maskings and the
kind of averaging open; each is a field here, and its default is written beside it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgekit.data.config import LEAST_SCALE
from edgekit.networks import FAMILIES, encoder_of
from edgekit.part_schema import Name
from edgekit.teachers.external.config import ExternalConfig
from edgekit.training.config import TrainConfig


class MemberConfig(BaseModel):
    """One network of the ensemble. ``encoder``, ``drop_path`` to ``freeze_norm`` are for the family timm alone."""

    model_config = ConfigDict(extra="forbid")
    family: Annotated[str, Name(FAMILIES)] = "repseg"
    width: int | None = Field(None, ge=1, le=256, description="channels; none: the family's own")
    seed: int = Field(0, ge=0)
    encoder: str | None = Field(None, description="a model of timm; none: tf_efficientnet_lite0")
    weights: str | None = Field(
        None, description="of the encoder: imagenet, none, or a file, relative to the recipe; imagenet by default"
    )
    drop_path: float | None = Field(None, ge=0, lt=1, description="largest share of skipped residual branches; 0.1")
    encoder_rate: float | None = Field(None, gt=0, le=1, description="factor of the encoder's learning rate; 1")
    freeze_norm: bool | None = Field(None, description="keep the encoder's batch-norm statistics; false")
    train: TeacherTrainConfig | None = Field(None, description="of this network alone; none: teacher.train")

    @model_validator(mode="after")
    def _encoder_is_timm(self) -> MemberConfig:
        names = ("encoder", "drop_path", "encoder_rate", "freeze_norm")
        given = [name for name in names if getattr(self, name) is not None]
        if given and self.family != "timm":
            raise ValueError(f"{', '.join(given)} go with family: timm, not with {self.family}")
        if self.weights is not None and encoder_of(self.family, {}) is None:
            raise ValueError(f"weights go with a pretrained encoder, which the family {self.family} does not have")
        return self

    def shape(self) -> dict[str, Any]:
        """The arguments of the family's network that the recipe gives."""
        names = ("width", "encoder", "drop_path", "encoder_rate", "freeze_norm")
        usual = {"drop_path": 0.1} if self.family == "timm" else {}
        return usual | {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class TeacherTrainConfig(TrainConfig):
    """As for every network, but labelled frames alone: others train a first generation only in reconstruction."""

    steps: int = Field(3000, ge=1)
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights that are kept; 0 keeps the last")

    labelled_share: float = Field(1.0, ge=0, le=1, description="share of each batch drawn from labelled frames")


class MaskingConfig(BaseModel):
    """Which modalities a training pass hides. At least one always stays visible."""

    model_config = ConfigDict(extra="forbid")
    distribution: Literal["bernoulli", "count"] = Field(
        "bernoulli",
        description="bernoulli: each modality is hidden with probability `hide`; count: first the number of visible "
        "ones is drawn, uniform from 1 to all, then which",
    )
    hide: float = Field(0.5, ge=0, lt=1, description="bernoulli's probability")
    full: float = Field(0.0, ge=0, le=1, description="share of passes that hide nothing")
    keep: list[str] = Field([], description="modalities that are never hidden, e.g. [rgb]; default: any may be")


class ReconstructConfig(BaseModel):
    """The masked-autoencoder half of the loss: L1 in standardised units."""

    model_config = ConfigDict(extra="forbid")
    weight: float = Field(0.1, ge=0)
    on: Literal["hidden", "all"] = Field("hidden", description="score the hidden modalities alone, or all of them")


class TeacherConfig(BaseModel):
    """The networks, what they see, and how they are trained."""

    model_config = ConfigDict(extra="forbid")
    modalities: list[str] = Field(["rgb"], min_length=1, description="what the networks see")
    members: list[MemberConfig] = Field(
        [MemberConfig(family="lite", seed=0), MemberConfig(family="lite", seed=1)],
        description="trained here; [] where all teachers are external",
    )
    external: list[ExternalConfig] = Field([], description="trained elsewhere: expert, npz, onnx, phg_mae or torch")
    masking: MaskingConfig = MaskingConfig()
    reconstruct: ReconstructConfig = ReconstructConfig()
    train: TeacherTrainConfig = TeacherTrainConfig()
    generations: Literal[1, 2] = Field(
        1,
        description="1: networks learn from labels alone; 2: each then learns on, for as many steps, from labels "
        "and from what the ensemble of the first generation says of all frames (self-training)",
    )

    @field_validator("modalities")
    @classmethod
    def _unique(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError(f"each modality once, got {names}")
        return names

    @model_validator(mode="after")
    def _someone_teaches(self) -> TeacherConfig:
        if not self.members and not any(external.role == "member" for external in self.external):
            raise ValueError("there is no teacher: members is empty, and no external teacher has the role member")
        names = [external.name for external in self.external]
        if len(set(names)) < len(names):
            raise ValueError(f"each external teacher needs a name of its own, got {', '.join(names)}")
        return self


class EnsembleConfig(BaseModel):
    """Maskings × networks × flips × scales."""

    model_config = ConfigDict(extra="forbid")
    maskings: int = Field(
        8,
        ge=1,
        le=1000,
        description="per network; the first hides nothing. More than 8 gained nothing, and of rgb alone there is one",
    )
    flips: bool = Field(True, description="each masking also mirrored left-right")
    vertical_flips: bool = Field(False, description="… and top-bottom, for cameras that look down")
    scales: list[float] | None = Field(
        None,
        min_length=1,
        description="each at these sizes; one pass alone uses the first. None: the middle, the least and nearly the "
        "largest of teacher.train.augment.scale",
    )
    average: Literal["probability", "logit"] = Field("probability", description="what is averaged over members")
    at_once: int = Field(8, ge=1, description="passes in a batch, which bounds memory whatever the number of members")
    seed: int = Field(0, ge=0, description="of the maskings")

    def key(self) -> dict[str, Any]:
        """All that its predictions depend on: ``at_once`` bounds memory, and changes none of them."""
        return self.model_dump(exclude={"at_once"})

    @field_validator("scales")
    @classmethod
    def _in_range(cls, scales: list[float] | None) -> list[float] | None:
        if any(not LEAST_SCALE <= s <= 4 for s in scales or ()):
            raise ValueError(f"each scale between {LEAST_SCALE} and 4, got {scales}")
        return scales
