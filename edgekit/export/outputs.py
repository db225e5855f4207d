"""The last nodes of a deployed graph: logits to what each task's user asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edgekit.bundle.manifest import Form, Output
from edgekit.export.body import logits_name
from edgekit.export.config import Floats, Upsampling
from edgekit.graphs.draft import Draft, value_info
from edgekit.graphs.read import Shape, dtype_of, opset, shape_of
from edgekit.tasks import Task

_LEAST_LENGTH = 1e-6  # of a vector that has a direction, as in the kind's own numpy half


@dataclass(frozen=True)
class Style:
    """How maps leave the graph.

    upsampling  of classes, masks and confidence to the input's size: ``nearest`` after the decision at the student's
                resolution, or ``bilinear`` of the logits before it, which costs as much as half the network
    floats      type of the other forms, which stay at the student's resolution
    """

    upsampling: Upsampling = "nearest"
    floats: Floats = "float32"


def give_outputs(
    draft: Draft, tasks: Sequence[Task], forms: Mapping[str, Sequence[Form]], stride: int, style: Style
) -> tuple[Output, ...]:
    """Append what makes the forms of each task out of its logits, in place; all of it in float32."""
    logits = {value.name: value for value in draft.graph.output}
    (frames,) = draft.graph.input
    outputs = []
    for task in tasks:
        value = logits[logits_name(task.name)]
        maker = _Maker(draft, task, value, shape_of(frames), stride, style)
        outputs += [maker.make(form) for form in forms[task.name]]
    draft.outputs([value_info(o.name, o.dtype, o.shape) for o in outputs])
    return tuple(outputs)


class _Maker:
    """The forms of one task. Tensors that several forms need are made once."""

    def __init__(self, draft: Draft, task: Task, logits: onnx.ValueInfoProto, frames: Shape, stride: int, style: Style):
        self._draft, self._task, self._style, self._stride = draft, task, style, stride
        self._logits_type = dtype_of(logits)
        self._small = shape_of(logits)  # (N, C, h, w)
        self._large = frames[1:3] if frames[-1] == 3 else frames[2:]
        self._made: dict[str, str] = {}
        self._version = opset(draft.model)

    def make(self, form: Form) -> Output:
        name = f"{self._task.name}_{form}"
        n, c, h, w = self._small
        if form == "logits":
            return Output(name, self._logits_type, self._small, self._task.name, form, self._stride)
        tensor = getattr(self, f"_{form}")()
        if form in ("classes", "mask", "confidence"):
            self._draft.cast(tensor, "uint8", name, plain=True)
            return Output(name, "uint8", (n, *self._large), self._task.name, form, 1)
        self._draft.cast(tensor, self._style.floats, name, plain=True)
        shape = {"depth": (n, h, w), "normals": (n, 3, h, w), "probabilities": (n, c, h, w)}[form]
        return Output(name, self._style.floats, shape, self._task.name, form, self._stride)

    # Decisions, (N, H, W) float32

    def _classes(self) -> str:
        index = self._node("ArgMax", [self._large_logits()], "argmax", axis=1, keepdims=1)
        return self._decided(self._draft.cast(index, "float32", self._name("argmax.float")))

    def _mask(self) -> str:
        zero = self._draft.constant("zero", 0.0)
        positive = self._node("Greater", [self._large_logits(), zero], "positive")
        return self._decided(self._draft.cast(positive, "float32", self._name("positive.float")))

    def _confidence(self) -> str:
        levels = self._draft.constant("levels", 255.0)
        if self._task.kind == "binary":  # the winner's probability is the sigmoid of the logit's size
            size = self._node("Abs", [self._large_logits()], "size")
            scaled = self._node("Mul", [self._node("Sigmoid", [size], "winner"), levels], "winner.scaled")
        else:  # and here exp(0) over the sum of the powers
            _, total = self._powers(self._large_logits())
            scaled = self._node("Div", [levels, total], "winner.scaled")
        return self._decided(self._node("Round", [scaled], "winner.rounded"))

    def _decided(self, tensor: str) -> str:
        """A map of one channel to the input's size, unless it has it, without its channel."""
        if self._style.upsampling == "nearest" and self._stride > 1:
            tensor = self._resize(tensor, mode="nearest", coordinate="asymmetric", nearest_mode="floor")
        return self._squeeze(tensor)

    def _large_logits(self) -> str:
        """Logits that decide: those of the network, or interpolated to the input's size."""
        if self._style.upsampling == "nearest" or self._stride == 1:
            return self._logits()
        return self._once("large", lambda: self._resize(self._logits(), mode="linear", coordinate="half_pixel"))

    # Values, float32 at the student's resolution

    def _probabilities(self) -> str:
        if self._task.kind == "binary":
            return self._node("Sigmoid", [self._logits()], "probability")
        # Not Softmax: over channels onnxruntime transposes there and back, ten times the cost
        powers, total = self._powers(self._logits())
        return self._node("Div", [powers, total], "probability")

    def _depth(self) -> str:
        least, most = self._task.range
        bounds = [self._draft.constant("zero", 0.0), self._draft.constant("one", 1.0)]
        share = self._node("Clip", [self._logits(), *bounds], "share")
        span = math.log(most / least) if self._task.unit else most - least
        stretched = self._node("Mul", [share, self._constant("span", span)], "stretched")
        if self._task.unit:
            stretched = self._node("Exp", [stretched], "power")
        start = self._constant("least", least)
        return self._squeeze(self._node("Mul" if self._task.unit else "Add", [stretched, start], "decoded"))

    def _normals(self) -> str:
        x = self._logits()
        square = self._reduce("ReduceSum", self._node("Mul", [x, x], "squares"), "square")
        length = self._node("Sqrt", [square], "length")
        least = self._draft.constant("least_length", _LEAST_LENGTH)
        unit = self._node("Div", [x, self._node("Max", [length, least], "safe")], "unit")
        facing = self._draft.constant("facing", np.array([0, 0, -1]).reshape(1, 3, 1, 1))
        return self._node("Where", [self._node("Greater", [length, least], "directed"), unit, facing], "vector")

    # Pieces

    def _logits(self) -> str:
        name = logits_name(self._task.name)
        if self._logits_type == "float32":
            return name
        return self._once("float", lambda: self._draft.cast(name, "float32", self._name("float")))

    def _powers(self, logits: str) -> tuple[str, str]:
        """exp(logit − the largest), (N, C, …), and their sum over the channels, (N, 1, …)."""

        def powers() -> str:
            most = self._reduce("ReduceMax", logits, f"{logits}.most")
            return self._node("Exp", [self._node("Sub", [logits, most], f"{logits}.below")], f"{logits}.powers")

        made = self._once(f"{logits}.powers", powers)
        return made, self._once(f"{logits}.total", lambda: self._reduce("ReduceSum", made, f"{logits}.total"))

    def _reduce(self, op: str, tensor: str, output: str) -> str:
        """Over the channels; from opset 13 (sums) or 18 (the others) on, axes are an input."""
        if op == "ReduceSum" or self._version >= 18:
            axes = self._draft.constant("channel_axis", [1], np.int64)
            return self._node(op, [tensor, axes], output, keepdims=1)
        return self._node(op, [tensor], output, axes=[1], keepdims=1)

    def _resize(self, tensor: str, *, mode: str, coordinate: str, **more: str) -> str:
        scales = self._draft.constant("stride", [1, 1, self._stride, self._stride])
        return self._node(
            "Resize",
            [tensor, "", scales],
            f"{tensor}.large",
            mode=mode,
            coordinate_transformation_mode=coordinate,
            **more,
        )

    def _squeeze(self, tensor: str) -> str:
        return self._node("Squeeze", [tensor, self._draft.constant("channel_axis", [1], np.int64)], f"{tensor}.flat")

    def _node(self, op: str, inputs: Sequence[str], output: str, **attributes) -> str:
        return self._draft.node(op, inputs, self._name(output), **attributes)

    def _constant(self, name: str, value: float) -> str:
        return self._draft.constant(self._name(name), value)

    def _name(self, tensor: str) -> str:
        """Below the task's name, once: what another tensor's name was made of has it already."""
        bare = tensor.removeprefix("post.").removeprefix(f"{self._task.name}.")
        bare = bare.replace(logits_name(self._task.name), "logits")
        return f"{self._task.name}.{bare}"

    def _once(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
