"""The sections of a recipe for external teachers: inputs, outputs, classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.data.map_config import MapConfig
from edgekit.part_schema import chosen_by
from edgekit.teachers.external.registry import EXTERNAL_MODELS

InputSide = Annotated[int, Field(ge=1, le=16384)]
Layout = Literal["channels_first", "channels_last"]


class InputConfig(BaseModel):
    """One input tensor, (1, ΣC, H, W) float: modalities side by side, standardised with the teacher's own statistics.

    Values before standardising are native: rgb 0-255, depth in metres or 0-1, unit normals; semantic maps become one
    channel per class. What a frame lacks is 0 after standardising.
    """

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(None, description="the ONNX input's name; default: by position")
    modalities: list[str] = Field(["rgb"], min_length=1, description="in the order of the channels")
    mean: list[float] = Field([0.0], min_length=1, description="one, or one per channel, in native units")
    std: list[Annotated[float, Field(gt=0)]] = Field([1.0], min_length=1, description="one, or one per channel")
    order: Literal["rgb", "bgr"] = Field("rgb", description="of the colours of rgb; mean and std are in this order")
    layout: Layout = "channels_first"
    size: tuple[InputSide, InputSide] | None = Field(None, description="(height, width) that frames are resized to")
    multiple: int = Field(1, ge=1, le=512, description="without size: sides are rounded up to multiples of this")
    resize: Literal["bilinear", "nearest"] = "bilinear"


class OutputConfig(BaseModel):
    """A teacher's output for one task.

    ``classes`` are the teacher's, in the order of its channels, and needed where its task is semantic (but for the
    published eight of phg_mae); ``merge`` maps ours to theirs, by name. A teacher's
    class must be merged, be of the same name as ours, or be named in ``ignore``.
    """

    model_config = ConfigDict(extra="forbid")
    output: str | None = Field(
        None,
        description="ONNX output, key of a dict, checkpoint's task, or folder; default: the task's name or the only",
    )
    channels: tuple[int, int] | None = Field(None, description="(first, behind the last) of the output's channels")
    layout: Layout | None = None
    form: str | None = Field(
        None,
        description="logits, probabilities or indices of classes; depth in metres or relative (0-1); unit normals, "
        "or stored as (n + 1) / 2; values of a modality",
    )
    mean: list[float] | None = Field(None, description="of a standardised output, undone before anything else")
    std: list[Annotated[float, Field(gt=0)]] | None = None
    classes: list[str] | None = Field(None, min_length=1, description="of a semantic output, as its channels are")
    merge: dict[str, list[str]] | None = Field(None, description="our class -> the teacher's classes that are it")
    ignore: list[str] = Field([], description="the teacher's classes that match no class of the task")
    task: MapConfig | None = Field(None, description="what the map is, for the role modality")

    @model_validator(mode="after")
    def _both_or_none(self) -> OutputConfig:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        if self.channels and not 0 <= self.channels[0] < self.channels[1]:
            raise ValueError(f"channels are (first, behind the last), got {list(self.channels)}")
        return self


class ExternalCommon(BaseModel):
    """The keys that all external teachers have.

    role    ``member``: one more member of the ensemble, run once per frame, without maskings, flips and scales;
            ``modality``: an input of the networks that are trained here, listed under teacher.modalities by the
            output's name
    votes   how many members of the ensemble it counts as
    """

    model_config = ConfigDict(extra="forbid")
    knows_its_maps: ClassVar[bool] = False
    """Whether it says what a new modality is where the recipe does not."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    role: Literal["member", "modality"] = "member"
    votes: int = Field(1, ge=1, le=1000)
    outputs: dict[str, OutputConfig] = Field(min_length=1, description="by task, or for a modality by its new name")

    @model_validator(mode="after")
    def _modalities_say_what_they_are(self) -> ExternalCommon:
        for name, output in self.outputs.items():
            if output.task is None and self.role == "modality" and self.knows_its_maps:
                continue
            if (output.task is not None) != (self.role == "modality"):
                raise ValueError(
                    f"outputs.{name}.task says what a new modality is: it is needed for the role modality, and no other"
                )
        return self


class PredictionsConfig(ExternalCommon):
    """Predictions on disk: ``<folder>/<output>/<frame>.npz`` with the key ``arr_0``, also in npz/ and part*/.

    ``missing`` is for members: a modality that a frame lacks is simply missing there.
    """

    kind: Literal["npz"]
    folders: list[Path] = Field(min_length=1, description="searched in this order; relative to the recipe")
    missing: Literal["error", "skip"] = Field(
        "error", description="skip: other teachers alone predict a frame that it lacks"
    )


class ExpertConfig(ExternalCommon):
    """Modalities of the data that are predictions of a task: ``outputs: {depth: {output: simulated_depth}}``."""

    kind: Literal["expert"]
    role: Literal["member"] = "member"
    missing: Literal["error", "skip"] = Field(
        "error", description="skip: other teachers alone predict a frame that it lacks"
    )


class OnnxConfig(ExternalCommon):
    """An ONNX file."""

    kind: Literal["onnx"]
    file: Path
    inputs: list[InputConfig] = Field([InputConfig()], min_length=1)


class CheckpointConfig(ExternalCommon):
    """A checkpoint of PHG-MAE as published. ``inputs``: its task -> our modality; its other tasks stay hidden."""

    kind: Literal["phg_mae"]
    file: Path
    inputs: dict[str, str] = Field({"rgb": "rgb"}, min_length=1)
    size: tuple[InputSide, InputSide] | None = Field(None, description="of its input; default: its own data_shape")


class BundleConfig(ExternalCommon):
    """A bundle of edgekit: what the network answers, it knows itself.

    bundle     a directory or .tar, relative to the recipe, or the name of one that comes with edgekit
    precision  of the file that runs, in onnxruntime; default: the bundle's lowest
    """

    knows_its_maps: ClassVar[bool] = True
    kind: Literal["bundle"]
    bundle: str = Field(min_length=1, max_length=4096)
    precision: Literal["fp32", "int8"] | None = None


class TransformersConfig(ExternalCommon):
    """A network of the transformers library.

    task   ``semantic`` (Mask2Former, SegFormer) or ``depth`` (Depth Anything, DPT); it is shown rgb, and depth without
           a unit is the reciprocal of what it says
    model  a folder as save_pretrained writes it, or if no such folder exists a name on the Hugging Face hub, also
           as ``org/network@commit``
    """

    knows_its_maps: ClassVar[bool] = True
    kind: Literal["transformers"]
    task: Literal["semantic", "depth"]
    model: str = Field(min_length=1, max_length=4096)


class CodeConfig(ExternalCommon):
    """``module:function`` of the user's Python path, which returns a network; runs with --allow-code alone.

    function(**arguments) -> a callable of one tensor per entry of ``inputs``, that returns a tensor, or several in a
    list or dict. ``files``: what else its answers depend on, e.g. weights.
    """

    kind: Literal["torch"]
    function: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    arguments: dict[str, Any] = {}
    files: list[Path] = []
    inputs: list[InputConfig] = Field([InputConfig()], min_length=1)


ExternalConfig = Annotated[
    ExternalCommon, chosen_by("kind", EXTERNAL_MODELS, lambda kind: EXTERNAL_MODELS[kind].Config)
]
