"""The pipeline: which films, at what size, which experts and which maps derived from theirs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from edgekit.data.derived.derivation import DeriveCommon, PinholeCamera
from edgekit.data.derived.registry import DERIVATIONS
from edgekit.data.folders import FileName, Side
from edgekit.data.modalities import COMPUTED
from edgekit.part_schema import Name, chosen_by
from edgekit.teachers.external.config import ExternalCommon, ExternalConfig, OutputConfig

_SAID_ELSEWHERE = {"name": "the task's own name", "outputs": "output, beside expert", "role": "", "votes": ""}


def _filled(expert: Any) -> Any:
    """An expert's section as `teacher.external` has it, with what the task says in its place."""
    if not isinstance(expert, dict):
        return expert
    if expert.get("kind") == "expert":
        raise ValueError("the kind expert is a map that the data has already: name it in `of` of a derived map")
    for key, instead in _SAID_ELSEWHERE.items():
        if key in expert:
            raise ValueError(f"an expert of a pipeline has no {key}{instead and f': it is {instead}'}")
    output = {"task": {"kind": "depth"}}  # exchanged for the task's own
    return {**expert, "name": "expert", "role": "modality", "outputs": {"map": output}}


class ComputedTask(BaseModel):
    """A map computed from rgb alone."""

    model_config = ConfigDict(extra="forbid")
    computed: Annotated[str, Name(COMPUTED)]


class ExpertTask(BaseModel):
    """What a network says, or predictions on disk. ``output.task`` says what the map is, where the expert does not."""

    model_config = ConfigDict(extra="forbid")
    expert: Annotated[ExternalConfig, BeforeValidator(_filled)]
    output: OutputConfig = OutputConfig()
    batch: int = Field(1, ge=1, le=256, description="frames at a time")

    @model_validator(mode="after")
    def _says_what_it_is(self) -> ExpertTask:
        if self.output.task is None and not self.expert.knows_its_maps:
            raise ValueError("output.task says what the map is: e.g. output: {task: {kind: depth}}")
        return self

    def opened_as(self, name: str) -> ExternalCommon:
        """The expert's section with this task as its output."""
        return self.expert.model_copy(update={"name": "expert", "outputs": {name: self.output}})


# Labels, not the keys themselves: what names the place of an error tells labels from keys by their names.
_ORIGINS = {"computed": "a computed map", "expert": "an expert", "derive": "a derived map"}


def _origin(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else value.model_fields_set if isinstance(value, BaseModel) else ()
    return next((label for key, label in _ORIGINS.items() if key in keys), None)


_Derived = Annotated[DeriveCommon, chosen_by("derive", DERIVATIONS, lambda kind: DERIVATIONS[kind].Config)]
TaskSection = Annotated[
    Annotated[ComputedTask, Tag(_ORIGINS["computed"])]
    | Annotated[ExpertTask, Tag(_ORIGINS["expert"])]
    | Annotated[_Derived, Tag(_ORIGINS["derive"])],
    Discriminator(
        _origin,
        custom_error_type="origin",
        custom_error_message="Input should be a mapping with one of the keys computed, expert, derive",
    ),
]


class ExtractConfig(BaseModel):
    """From films to maps.

    sets     folder of the result -> films, photographs, and folders of either; relative to the pipeline's own folder
    size     (height, width) of every frame (default: each film's own)
    every    take each n-th frame; or ``fps``: so many a second; or ``frames``: those of these numbers, from 0
    film     neighbouring frames are neighbouring moments (default: those of films are, photographs are not)
    camera   for normals of depth
    tasks    what is made of each frame, beside rgb
    """

    model_config = ConfigDict(extra="forbid")
    sets: dict[FileName, list[str]] = Field(min_length=1)
    size: tuple[Side, Side] | None = None
    every: int = Field(1, ge=1)
    fps: float | None = Field(None, gt=0)
    frames: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    film: bool | None = None
    camera: PinholeCamera = PinholeCamera()
    tasks: dict[FileName, TaskSection] = {}

    @field_validator("sets")
    @classmethod
    def _sets_have_films(cls, sets: dict[str, list[str]]) -> dict[str, list[str]]:
        if any(not films for films in sets.values()):
            raise ValueError("a set needs at least one film")
        return sets

    @field_validator("tasks")
    @classmethod
    def _rgb_is_there(cls, tasks: dict[str, Any]) -> dict[str, Any]:
        if "rgb" in tasks:
            raise ValueError("rgb is the frame itself, and always written")
        return tasks

    @model_validator(mode="after")
    def _one_choice_of_frames(self) -> ExtractConfig:
        if (self.every != 1) + (self.fps is not None) + (self.frames is not None) > 1:
            raise ValueError("every, fps and frames are three ways to choose frames: keep one")
        return self


class Pipeline(BaseModel):
    """A pipeline's file: it has the one key ``extract``."""

    model_config = ConfigDict(extra="forbid")
    extract: ExtractConfig
