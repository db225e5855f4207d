"""The first tensor in which two graphs that should agree differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import nn

from edgekit.bundle.manifest import input_name
from edgekit.export.body import INPUT, logits_name
from edgekit.export.compare import LargestError
from edgekit.graphs.execute import every_tensor
from edgekit.graphs.read import activations
from edgekit.runtime.preprocess import Feed
from edgekit.students.student import Student


@dataclass(frozen=True)
class Divergence:
    """The first tensor, in topological order, that is further off than ``limit`` of its largest value."""

    tensor: str
    error: float
    limit: float

    def __str__(self) -> str:
        return f"the first tensor that diverges is '{self.tensor}' ({self.error:.2g} of its largest value)"


def first_divergence(found: dict[str, np.ndarray], reference: dict[str, np.ndarray], limit: float) -> Divergence | None:
    """Compare what both have, in the order of ``found``; None where nothing diverges."""
    for name, array in found.items():
        if name not in reference:
            continue
        error = LargestError()
        if array.shape == reference[name].shape:
            error.add(array, reference[name])
        else:
            error.difference = np.inf
        if error.value > limit:
            return Divergence(name, error.value, limit)
    return None


def between_graphs(
    model: onnx.ModelProto, reference: onnx.ModelProto, feed: Feed | np.ndarray, limit: float
) -> Divergence | None:
    """The first tensor of ``model`` that differs from the one of the same name in ``reference``, both run on ``feed``.

    The graphs may take different types of input; integer tensors of Q/DQ have no name in common and are left out.
    """
    common = set(activations(model.graph)) & set(activations(reference.graph))
    tensors = [every_tensor(m, _as_input(m, feed), common) for m in (model, reference)]
    return first_divergence(*tensors, limit)


def from_module(model: onnx.ModelProto, student: Student, frames: Feed, limit: float) -> Divergence | None:
    """The first tensor of a deployed graph that differs from what the fused student's module of its name gives.

    ``frames``: as the graph takes them. Besides the layers, the standardised input and the logits are compared.
    """
    reference = module_tensors(student, frames)
    names = [name for name in activations(model.graph) if name in reference]
    return first_divergence(every_tensor(model, frames, names), reference, limit)


@torch.no_grad()
def module_tensors(student: Student, frames: Feed) -> dict[str, np.ndarray]:
    """Tensor name → value in the fused student, for its standardised input, its convolutions and its logits."""
    seen: dict[str, np.ndarray] = {}

    def watch(name: str):
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            seen[name] = output.detach().numpy().copy()  # a copy: the ReLU behind it works in place

        return hook

    layers = [(n, m) for n, m in student.network.named_modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [module.register_forward_hook(watch(name)) for name, module in layers]
    try:
        x = torch.from_numpy(planes_of(student, frames))
        logits = student(x)
        seen[INPUT] = ((x - student.mean) / student.std).numpy()
    finally:
        for hook in hooks:
            hook.remove()
    return {**seen, **{logits_name(name): tensor.numpy() for name, tensor in logits.items()}}


def planes_of(student: Student, frames: Feed) -> np.ndarray:
    """Frames as a deployed graph takes them → (N, C, H, W) float32 in native units, as the student takes them."""
    maps = [frames[input_name(task.name)] for task in student.modalities]
    return np.ascontiguousarray(np.concatenate([m.transpose(0, 3, 1, 2) for m in maps], axis=1), np.float32)


def _as_input(model: onnx.ModelProto, feed: Feed | np.ndarray) -> Feed:
    types = {v.name: onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in model.graph.input}
    given = dict.fromkeys(types, feed) if isinstance(feed, np.ndarray) else feed
    return {name: array.astype(types[name], copy=False) for name, array in given.items()}
