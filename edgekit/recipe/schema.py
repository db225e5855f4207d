"""The recipe: what data, which tasks, which teachers, which student, what must hold."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from edgekit.data.registry import SOURCES
from edgekit.distill.config import BaselineConfig, DistillConfig, TargetsConfig
from edgekit.export.config import ExportConfig
from edgekit.part_schema import chosen_by
from edgekit.quantize.config import QuantizeConfig
from edgekit.students.config import StudentConfig
from edgekit.teachers.config import EnsembleConfig, TeacherConfig


class Fold(BaseModel):
    """Hold out a part of ``train`` as ``val``: for choosing settings without looking at the real ``val``."""

    model_config = ConfigDict(extra="forbid")
    index: int = Field(0, ge=0)
    of: int = Field(4, ge=2)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Fold:
        if self.index >= self.of:
            raise ValueError(f"index counts from 0 and must be below of, got fold {self.index} of {self.of}")
        return self


LEGAL = {"licence", "attribution"}
"""Of the data's section: what is handed on with it and changes nothing that is computed."""


class DataCommon(BaseModel):
    """What every data source's section may say beside its own keys."""

    on_bad_file: Literal["error", "skip"] = Field("error", description="skip: leave bad files out, count and list them")
    memory_gb: float = Field(4.0, ge=0, description="how much of the decoded data stays in memory")
    fold: Fold | None = None
    licence: str | None = Field(None, min_length=1, description="of the data: its name, and what it allows")
    attribution: str | None = Field(None, min_length=1, description="whom the licence asks to name, and how")


@cache
def _section(source: str) -> type[BaseModel]:
    return create_model(f"{source}_data", __base__=(DataCommon, SOURCES[source].config), source=(Literal[source], ...))


class TaskConfig(BaseModel):
    """A task the student predicts."""

    model_config = ConfigDict(extra="forbid")
    weight: float = Field(1.0, gt=0, description="factor of its losses")
    class_balance: float = Field(
        0.5, ge=0, le=1, description="semantic: a class counts by its share of the labels to the power of minus this"
    )


class EvaluateConfig(BaseModel):
    """What the run's table is computed on."""

    model_config = ConfigDict(extra="forbid")
    split: str = Field("val", description="the split of the table and the pictures")
    pictures: int = Field(6, ge=0, le=64, description="rows of the picture grid")


class ExportSection(ExportConfig):
    """How the student is deployed."""

    quantize: QuantizeConfig = QuantizeConfig()


class Requirements(BaseModel):
    """What must hold at the end; a run that misses one exits with 1 and says which."""

    model_config = ConfigDict(extra="forbid")
    ensemble_beats_single: bool = Field(
        False, description="the ensemble is better than one pass, on the first task with classes"
    )
    ensemble_beats_baseline: bool = Field(False, description="… and than the labels-only student")
    student_beats_baseline: bool | None = Field(
        None, description="none: where both were trained, on the first task; true: on every task's primary metric"
    )
    retention: float | None = Field(
        None, gt=0, le=2, description="of the first semantic task: least mIoU of the student / mIoU of the ensemble"
    )
    parameters: int | None = Field(None, gt=0, description="most parameters of the student")


class Recipe(BaseModel):
    """Everything a run depends on."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="names the run directory")
    seed: int = Field(0, ge=0)
    data: Annotated[DataCommon, chosen_by("source", SOURCES, _section)]
    tasks: dict[str, TaskConfig] = Field(min_length=1, description="what the student predicts, by task name")
    teacher: TeacherConfig = TeacherConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    targets: TargetsConfig = TargetsConfig()
    student: StudentConfig = StudentConfig()
    distill: DistillConfig = DistillConfig()
    baseline: BaselineConfig = BaselineConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportSection = ExportSection()
    require: Requirements = Requirements()

    @model_validator(mode="after")
    def _no_task_is_seen(self) -> Recipe:
        for who, seen in (("teacher", self.teacher.modalities), ("student", self.student.modalities)):
            both = [name for name in self.tasks if name in seen]
            if both:
                raise ValueError(
                    f"{', '.join(both)} is both a task and a modality of the {who}: it would see its answer"
                )
        unknown = [name for name in self.teacher.masking.keep if name not in self.teacher.modalities]
        if unknown:
            raise ValueError(f"teacher.masking.keep names {', '.join(unknown)}, which teacher.modalities does not list")
        return self

    @model_validator(mode="after")
    def _start_has_a_teacher(self) -> Recipe:
        if self.distill.start == "teacher" and not self.teacher.members:
            raise ValueError("distill.start: teacher needs a network in teacher.members, and the list is empty")
        return self

    @model_validator(mode="after")
    def _flown_as_trained(self) -> Recipe:
        zoom, scale = self.distill.train.augment.scale, self.student.input_scale
        if zoom and scale and not zoom[0] <= scale <= zoom[1]:
            raise ValueError(
                f"student.input_scale is {scale:g}, and the student is trained on frames resized by {zoom[0]:g} to "
                f"{zoom[1]:g}: make distill.train.augment.scale reach it"
            )
        return self

    @model_validator(mode="after")
    def _cutmix_cuts_whole_pixels(self) -> Recipe:
        train, stride = self.distill.train, self.targets.stride
        if train.augment.cutmix and any(side % stride for side in train.crop):
            raise ValueError(
                f"cutmix needs a distill.train.crop of multiples of targets.stride, got {train.crop} and {stride}"
            )
        return self

    def trained(self) -> dict[str, Any]:
        """All that training and its table depend on, in the schema's order: export and licence change no run."""
        return self.model_dump(exclude={"export": True, "data": LEGAL})

    def weights(self) -> dict[str, float]:
        return {name: task.weight for name, task in self.tasks.items()}
