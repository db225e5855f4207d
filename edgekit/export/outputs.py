"""The last nodes of a deployed graph: from logits to the outputs that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from edgekit.bundle.manifest import STANDARDISED, OutputTensor
from edgekit.export.body import logits_name
from edgekit.export.config import ExportConfig, Floats, Upsampling
from edgekit.graphs.draft import Draft, value_info
from edgekit.graphs.read import Shape, dtype_of, opset, tensor_shape
from edgekit.heads import HEADS
from edgekit.tasks import Task, kind_of
from edgekit.tasks.form import LOGITS


@dataclass(frozen=True)
class Style:
    """How maps are written to the outputs.

    upsampling  of classes, masks and confidence to the input's size: ``nearest`` after the decision at the student's
                resolution, or ``bilinear`` of the logits before it, which costs as much as half the network
    floats      type of the other forms, which stay at the student's resolution
    """

    upsampling: Upsampling = ExportConfig().upsampling
    floats: Floats = ExportConfig().floats


def give_outputs(
    draft: Draft, tasks: Sequence[Task], forms: Mapping[str, Sequence[str]], stride: int, style: Style
) -> tuple[OutputTensor, ...]:
    """Append the nodes that compute the forms of each task from its logits, in place; all in float32."""
    logits = {value.name: value for value in draft.graph.output}
    first = draft.graph.input[0]
    shape = tensor_shape(first)
    channels_first = first.name == STANDARDISED or shape[1] == 3  # no height is 3
    size = shape[2:] if channels_first else shape[1:3]
    outputs = []
    for task in tasks:
        value = logits[logits_name(task.name)]
        maker = _Maker(draft, task, value, size, stride, style)
        outputs += [maker.make(form) for form in forms[task.name]]
    draft.outputs([value_info(o.name, o.dtype, o.shape) for o in outputs])
    return tuple(outputs)


class _Maker:
    """``edgekit.heads.nodes.Nodes`` for one task: appends nodes. Those that several forms need are made once."""

    def __init__(self, draft: Draft, task: Task, logits: onnx.ValueInfoProto, size: Shape, stride: int, style: Style):
        self._draft, self._task, self._style, self._stride = draft, task, style, stride
        self._logits_type = dtype_of(logits)
        self._small = tensor_shape(logits)  # (N, C, h, w)
        self._large = size
        self._made: dict[str, str] = {}
        self._version = opset(draft.model)

    def make(self, name: str) -> OutputTensor:
        """The output of the form of this name."""
        n, c, h, w = self._small
        form, output = kind_of(self._task).form(name), f"{self._task.name}_{name}"
        if form is LOGITS:
            return OutputTensor(output, self._logits_type, self._small, self._task.name, name, self._stride)
        tensor = getattr(HEADS[self._task.kind], f"{name}_nodes")(self._task, self)
        dtype = "uint8" if form.decided else self._style.floats
        self._draft.cast(tensor, dtype, output, plain=True)
        if form.decided:
            return OutputTensor(output, dtype, (n, *self._large), self._task.name, name, 1)
        shape = (n, h, w) if form.content == "plane" else (n, c, h, w)
        return OutputTensor(output, dtype, shape, self._task.name, name, self._stride)

    def decided(self, tensor: str) -> str:
        if self._style.upsampling == "nearest" and self._stride > 1:
            tensor = self._resize(tensor, mode="nearest", coordinate="asymmetric", nearest_mode="floor")
        return self.squeeze(tensor)

    def large_logits(self) -> str:
        if self._style.upsampling == "nearest" or self._stride == 1:
            return self.logits()
        return self._once("large", lambda: self._resize(self.logits(), mode="linear", coordinate="half_pixel"))

    def logits(self) -> str:
        name = logits_name(self._task.name)
        if self._logits_type == "float32":
            return name
        return self._once("float", lambda: self._draft.cast(name, "float32", self._name("float")))

    def powers(self, logits: str) -> tuple[str, str]:
        def powers() -> str:
            most = self._reduce("ReduceMax", logits, f"{logits}.most")
            return self.node("Exp", [self.node("Sub", [logits, most], f"{logits}.below")], f"{logits}.powers")

        made = self._once(f"{logits}.powers", powers)
        return made, self._once(f"{logits}.total", lambda: self._reduce("ReduceSum", made, f"{logits}.total"))

    def channel_sum(self, tensor: str, output: str) -> str:
        return self._reduce("ReduceSum", tensor, output)

    def as_float(self, tensor: str, output: str) -> str:
        return self._draft.cast(tensor, "float32", self._name(output))

    def constant(self, name: str, value: Any) -> str:
        return self._draft.constant(name, value)

    def own_constant(self, name: str, value: float) -> str:
        return self._draft.constant(self._name(name), value)

    def _reduce(self, op: str, tensor: str, output: str) -> str:
        """Over the channels; from opset 13 (sums) or 18 (the others) on, axes are an input."""
        if op == "ReduceSum" or self._version >= 18:
            axes = self._draft.constant("channel_axis", [1], np.int64)
            return self.node(op, [tensor, axes], output, keepdims=1)
        return self.node(op, [tensor], output, axes=[1], keepdims=1)

    def _resize(self, tensor: str, *, mode: str, coordinate: str, **more: str) -> str:
        scales = self._draft.constant("stride", [1, 1, self._stride, self._stride])
        return self.node(
            "Resize",
            [tensor, "", scales],
            f"{tensor}.large",
            mode=mode,
            coordinate_transformation_mode=coordinate,
            **more,
        )

    def squeeze(self, tensor: str) -> str:
        return self.node("Squeeze", [tensor, self._draft.constant("channel_axis", [1], np.int64)], f"{tensor}.flat")

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes) -> str:
        return self._draft.node(op, inputs, self._name(output), **attributes)

    def _name(self, tensor: str) -> str:
        """The tensor's name with the task's name in front, but only once."""
        bare = tensor.removeprefix("post.").removeprefix(f"{self._task.name}.")
        bare = bare.replace(logits_name(self._task.name), "logits")
        return f"{self._task.name}.{bare}"

    def _once(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
