"""From a body to a file that a runtime takes: pre-processing, outputs, open dimensions, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import onnx

from edgekit.bundle.manifest import OutputTensor, Preprocessing, Tensor
from edgekit.export.outputs import Style, give_outputs
from edgekit.export.preprocess import take_frames
from edgekit.graphs.check import checked
from edgekit.graphs.draft import Draft
from edgekit.graphs.read import dtype_of, opset, tensor_shape
from edgekit.tasks import Task

LOGITS_ONLY: tuple[str, ...] = ("logits",)
BATCH, HEIGHT, WIDTH = "batch", "height", "width"


@dataclass(frozen=True)
class Deployed:
    """A finished graph with the description that the manifest has of it; ``others``: inputs beside the first."""

    model: onnx.ModelProto
    input: Tensor
    outputs: tuple[OutputTensor, ...]
    others: tuple[Tensor, ...] = ()


def deploy(
    body: onnx.ModelProto,
    tasks: Sequence[Task],
    forms: Mapping[str, Sequence[str]],
    preprocessing: Preprocessing,
    stride: int,
    *,
    style: Style | None = None,
    open_dimensions: frozenset[str] = frozenset(),
    metadata: Mapping[str, str] | None = None,
    planes: bool = False,
) -> Deployed:
    """Frames of every modality in, each task's forms out; the body, of any types, with or without Q/DQ, as it is.

    ``open_dimensions``: ``batch``, ``size`` or both are left to run time. ``planes``: float frames (N, 3, H, W) in.
    """
    draft = Draft(opened(body, stride, open_dimensions))
    pre, post = Draft.within(draft, "pre."), Draft.within(draft, "post.")
    take_frames(pre, preprocessing, planes=planes)
    outputs = give_outputs(post, tasks, forms, stride, style or Style())
    return _finished(draft.model, outputs, metadata)


def deploy_body(
    body: onnx.ModelProto,
    tasks: Sequence[Task],
    stride: int,
    *,
    open_dimensions: frozenset[str] = frozenset(),
    metadata: Mapping[str, str] | None = None,
) -> Deployed:
    """The body by itself: ``input`` (N, C, H, W) standardised in, raw logits out."""
    draft = Draft(opened(body, stride, open_dimensions))
    outputs = give_outputs(draft, tasks, {task.name: LOGITS_ONLY for task in tasks}, stride, Style())
    return _finished(draft.model, outputs, metadata)


def opened(body: onnx.ModelProto, stride: int, dimensions: frozenset[str]) -> onnx.ModelProto:
    """A copy whose batch and size are names: ``batch``, ``height``, ``width``, and ``height/4`` at stride 4."""
    out = deepcopy(body)
    del out.graph.value_info[:]
    for value, step in ((out.graph.input[0], 1), *((output, stride) for output in out.graph.output)):
        dims = value.type.tensor_type.shape.dim
        if "batch" in dimensions:
            dims[0].dim_param = BATCH
        if "size" in dimensions:
            dims[2].dim_param, dims[3].dim_param = (name if step == 1 else f"{name}/{step}" for name in (HEIGHT, WIDTH))
    return out


def closed(model: onnx.ModelProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the dimensions of another body's inputs and outputs: ``opened`` undone."""
    out = deepcopy(model)
    del out.graph.value_info[:]
    fixed = {value.name: value for value in (*like.graph.input, *like.graph.output)}
    for value in (*out.graph.input, *out.graph.output):
        value.type.tensor_type.shape.CopyFrom(fixed[value.name].type.tensor_type.shape)
    return out


def _finished(
    model: onnx.ModelProto, outputs: tuple[OutputTensor, ...], metadata: Mapping[str, str] | None
) -> Deployed:
    first, *others = (Tensor(value.name, dtype_of(value), tensor_shape(value)) for value in model.graph.input)
    onnx.helper.set_model_props(model, dict(metadata or {}))
    model = checked(model, opset(model))
    del model.graph.value_info[:]  # any reader infers it again, and some trip over shapes stated twice
    return Deployed(model, first, outputs, tuple(others))
