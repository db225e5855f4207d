"""The manifest: everything a device must know of a bundle, as plain data.

``manifest.json`` is this module's ``Manifest`` written out. A field that is missing, unknown or of another type is an
EdgekitError that names it; another schema is refused, because its meaning is unknown here.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.outside import parse_json
from edgekit.frames.typed import Misfit, as_typed
from edgekit.tasks.modality import RGB, native_type
from edgekit.tasks.task import Task

SCHEMA = 5
SIZE_MULTIPLE = 16
"""Of the sides of a network's input: so that every resolution inside is a whole one."""
MANIFEST = "manifest.json"  # its name in a bundle
FRAMES, STANDARDISED = "frames", "input"
"""Names of inputs: of rgb as it is, and of all modalities together, standardised."""

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

Lane = Literal["onnxruntime", "weak", "strong", "cache"]
"""Which runtime reads the file, and where its precision is defined.

onnxruntime  the CPU; Q/DQ with U8 activations where the precision is int8
weak         TensorRT up to 10, weakly typed: fp32 types, Q/DQ for int8, builder flags for fp16; opset 17
strong       TensorRT from 10, strongly typed: precision is the file's types; opset 19
cache        TensorRT up to 10, and DLA: plain fp32 graph, float NCHW in, logits out; int8 by a calibration cache
"""


@dataclass(frozen=True)
class Tensor:
    """An input or output of an artifact. ``shape`` may hold names for dimensions that a profile leaves open."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class OutputTensor(Tensor):
    """``form``: one of the task's kind, such as ``classes`` or ``depth``. ``stride``: network input pixels per pixel of
    this map, 1 or the student's.
    """

    task: str
    form: str
    stride: int


@dataclass(frozen=True)
class Profile:
    """Least, usual and most shape of one dynamic input."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def with_side(self, place: int, side: int) -> Profile:
        """The same bounds for an input whose side at ``place`` is another."""
        return Profile(*((*shape[:place], side, *shape[place + 1 :]) for shape in (self.min, self.opt, self.max)))


@dataclass(frozen=True)
class Artifact:
    """One way to run the student: a file, read in one lane at one precision. Several may share a file.

    input is ``frames`` (N, H, W, 3) uint8 rgb, or ``input`` (N, 3, H, W) float, standardised, in the cache lane.
    Networks that see other modalities have an input for each (``Sensor.input``), (N, H, W, C) of its native type: the
    first is ``input``, the others are ``others``. In the cache lane all of them are the channels of the one ``input``.
    profile: of ``input``; the others have the same bounds, with their own channels.
    tensorrt: (oldest, newest) version that can build it as "8.5" and "10", None at the end for no limit known;
    None in the onnxruntime lane.
    """

    file: str
    lane: Lane
    precision: Precision
    opset: int
    input: Tensor
    outputs: tuple[OutputTensor, ...]
    profile: Profile | None = None
    tensorrt: tuple[str, str | None] | None = None
    others: tuple[Tensor, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.input, *self.others)

    @property
    def standardised(self) -> bool:
        """Whether it takes all modalities in one input, standardised, channels first."""
        return self.input.name == STANDARDISED

    @property
    def versions(self) -> str | None:
        """Of TensorRT, in words; None where it builds nothing of it."""
        if self.tensorrt is None:
            return None
        oldest, newest = self.tensorrt
        return f"{oldest} to {newest}" if newest else f"from {oldest}"

    def profiles(self) -> dict[str, Profile]:
        """The bounds of every input by its name; none where no side is left open."""
        if self.profile is None:
            return {}
        channels = 1 if self.standardised else 3
        return {t.name: self.profile.with_side(channels, t.shape[channels]) for t in self.inputs}

    def shapes(self, batch: int, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """The shape of every input for so many frames of (H, W)."""
        if self.standardised:
            return {t.name: (batch, t.shape[1], *size) for t in self.inputs}
        return {t.name: (batch, *size, t.shape[3]) for t in self.inputs}


@dataclass(frozen=True)
class Sensor:
    """One modality as a network takes it.

    input           the name of its tensor: ``frames`` for rgb, ``frames_<name>`` for others
    mean, std, pad  one per channel, in native units; ``pad`` standardises to about zero, and stands for what is missing
    """

    task: Task
    input: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: tuple[float, ...]

    @property
    def dtype(self) -> str:
        """Of its native maps, and of its input."""
        return np.dtype(native_type(self.task)).name


def input_name(modality: str) -> str:
    """The name of a modality's input."""
    return FRAMES if modality == RGB.name else f"{FRAMES}_{modality}"


@dataclass(frozen=True)
class Preprocessing:
    """From a frame of any size to the network's input; the Predictor executes it, and undoes it for the results.

    size    (H, W) of the network's input
    fit     ``letterbox``: resized to fit inside ``size`` by one factor, never enlarged where the frame fits, placed at
            the top left, the rest filled with ``pad``; ``stretch``: resized to ``size`` by two factors
    pad     the rgb value, 0-255, that standardises to about zero
    mean, std  of rgb, 0-255: standardised = (rgb − mean) / std. Inside the graph, but for the cache lane's
    modalities  what the network sees; pad, mean and std have one value per channel of all of them, in this order and in
             their native units
    may_lack names of modalities that frames may come without: ``pad`` stands for them
    depth_scale  metric depth from the network × this = metres (a student may see frames at a reduced scale)
    content  letterbox: (H, W) of ``size`` that frames fill at most, None for all of it. A student that is trained at
             half size sees 400×600 as 200×300, also in an input of 208×304
    """

    size: tuple[int, int]
    fit: Literal["letterbox", "stretch"]
    pad: tuple[int | float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    depth_scale: float = 1.0
    content: tuple[int, int] | None = None
    modalities: tuple[Task, ...] = (RGB,)
    may_lack: tuple[str, ...] = ()

    def sensors(self) -> tuple[Sensor, ...]:
        """The modalities, each with its part of the numbers."""
        found, start = [], 0
        for task in self.modalities:
            part = slice(start, start + task.channels)
            start = part.stop
            found.append(Sensor(task, input_name(task.name), self.mean[part], self.std[part], self.pad[part]))
        return tuple(found)


@dataclass(frozen=True)
class StudentInfo:
    """Which network this is.

    stride           input pixels per pixel of its logits
    receptive_field  side of the square of input pixels that a pixel of the logits depends on; None where it is too
                     large to be measured, as of networks that look at the whole frame
    """

    name: str
    width: int
    parameters: int
    multiply_adds: int
    stride: int
    receptive_field: int | None = None


@dataclass(frozen=True)
class Ranges:
    """Calibrated activation ranges of the cache lane's graph, and what they belong to.

    tensors      tensor name → (least, most) value
    unranged     activations of that graph without a range
    model, frames, preprocessing  SHA-256 of the graph's file, of the calibration frames, of the pre-processing
    """

    observer: str
    count: int
    tensors: dict[str, tuple[float, float]]
    unranged: tuple[str, ...]
    model: str
    frames: str
    preprocessing: str


@dataclass(frozen=True)
class Golden:
    """Frames with the answers of the fp32 graph. ``tolerance``: lane/precision → output name → least or most allowed.

    file         ``.npz``: ``frames`` (n, H, W, 3) uint8 at the network's size (of other modalities an array of each,
                 named as its input), and per output of the fp32 artifact an array of its name
    source       ``recipe`` or ``synthetic``
    tolerance    per output ``{"agreement": least share of equal pixels}`` for classes and masks, and
                 ``{"error": most mean absolute difference}`` for the other forms
    """

    file: str
    count: int
    source: Literal["recipe", "synthetic"]
    tolerance: dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Manifest:
    """The whole manifest.

    target, board, jetpack  what the export was asked for
    tasks        what the student predicts
    ranges       None for a bundle that was not calibrated
    parity       one row per step and task of the export: {step, task, metric, value, limit, holds}; ``holds`` is
                 None for what was not compared, or not asked of NVIDIA's compiler
    metrics      step (``module``, ``fp32``, ``int8`` …) → task → scores on ``provenance.split``
    quantization what the accuracy gate required, which steps were needed, which layers stayed in float and why
    provenance   recipe name and hash, run, versions, data, split; free-form
    files        name → SHA-256 of every file in the bundle but the manifest
    upsampling   of the graphs' decisions to the input's size: ``nearest`` after them, ``bilinear`` of logits before
    """

    schema: int
    name: str
    edgekit: str
    created: str
    target: Literal["cpu", "jetson", "rtx", "onnx"]
    board: str | None
    jetpack: str | None
    student: StudentInfo
    tasks: tuple[Task, ...]
    preprocessing: Preprocessing
    artifacts: tuple[Artifact, ...]
    golden: Golden
    ranges: Ranges | None = None
    parity: tuple[dict[str, Any], ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    quantization: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    upsampling: Literal["nearest", "bilinear"] = "nearest"

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "manifest.json") -> Manifest:
        """EdgekitError, naming ``where`` and the field, for anything but a manifest of this schema."""
        fix = "export the bundle again, or copy it again if it was whole where it came from"
        document = parse_json(text, where=where, what="the manifest", fix=fix)
        if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
            raise EdgekitError("this is not a bundle's manifest: it states no schema", where=where, fix=fix)
        if document["schema"] != SCHEMA:
            maker = document.get("edgekit", "another one")
            raise EdgekitError(
                f"the bundle has schema {document['schema']}, this edgekit reads {SCHEMA}",
                where=where,
                fix=f"use the edgekit that made the bundle ({maker}), or export it again with this one",
            )
        try:
            return as_typed(cls, document, "manifest")
        except Misfit as error:
            raise EdgekitError(str(error), where=where, fix=fix) from None
