"""What a recipe may say of teachers and their ensemble.

The paper leaves the masking distribution, whether rgb may be masked, the loss weights, the number of maskings and the
kind of averaging open; each is a field here, and its default is written beside it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgekit.networks import FAMILIES
from edgekit.part_schema import Name
from edgekit.teachers.external.config import ExternalConfig
from edgekit.training.config import TrainConfig


class MemberConfig(BaseModel):
    """One network of the ensemble."""

    model_config = ConfigDict(extra="forbid")
    family: Annotated[str, Name(FAMILIES)] = "safeuav"
    width: int = Field(10, ge=1, le=256)
    seed: int = Field(0, ge=0)


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
    members: list[MemberConfig] = Field([MemberConfig()], description="trained here; [] where `external` teach alone")
    external: list[ExternalConfig] = Field([], description="trained elsewhere: expert, npz, onnx, phg_mae or torch")
    masking: MaskingConfig = MaskingConfig()
    reconstruct: ReconstructConfig = ReconstructConfig()
    train: TrainConfig = TrainConfig()

    @field_validator("modalities")
    @classmethod
    def _unique(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError(f"each modality once, got {names}")
        return names

    @model_validator(mode="after")
    def _someone_teaches(self) -> TeacherConfig:
        if not self.members and not any(external.role == "member" for external in self.external):
            raise ValueError("nobody teaches: members is empty, and no external teacher has the role member")
        names = [external.name for external in self.external]
        if len(set(names)) < len(names):
            raise ValueError(f"each external teacher needs a name of its own, got {', '.join(names)}")
        return self


class EnsembleConfig(BaseModel):
    """Maskings × networks × flips × scales."""

    model_config = ConfigDict(extra="forbid")
    maskings: int = Field(
        8, ge=1, le=1000, description="per network; the first hides nothing. More than 8 gained nothing (benchmarks)"
    )
    flips: bool = Field(True, description="each masking also mirrored left-right")
    vertical_flips: bool = Field(False, description="… and top-bottom, for cameras that look down")
    scales: list[float] = Field([1.0], min_length=1, description="each at these sizes; one pass alone uses the first")
    average: Literal["probability", "logit"] = Field("probability", description="what is averaged over members")
    at_once: int = Field(8, ge=1, description="passes in a batch, which bounds memory whatever the number of members")
    seed: int = Field(0, ge=0, description="of the maskings")

    @field_validator("scales")
    @classmethod
    def _in_range(cls, scales: list[float]) -> list[float]:
        if any(not 0.25 <= s <= 4 for s in scales):
            raise ValueError(f"each scale between 0.25 and 4, got {scales}")
        return scales
