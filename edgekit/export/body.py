"""The student as one ONNX graph, from which every file of a bundle is made by editing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import onnx
import torch

from edgekit.bundle.manifest import SIZE_MULTIPLE, STANDARDISED
from edgekit.errors import EdgekitError
from edgekit.export.fuse import fused
from edgekit.graphs.check import NEWEST_IR, checked
from edgekit.graphs.names import readable
from edgekit.graphs.opset import at_opset
from edgekit.graphs.rewrite import pad_by_pad, scale_resizes, split_channels
from edgekit.students.student import Student

INPUT = STANDARDISED

_TORCH_OPSET = 18  # what torch's exporter writes by itself; everything older or newer is a conversion
_LOG = "torch.onnx"
_OUTPUT = "logits"


def logits_name(task: str) -> str:
    return f"{task}_logits"


def body(student: Student, size: tuple[int, int], *, opset: int = 17) -> onnx.ModelProto:
    """The fused student: ``input`` (1, C, H, W) float32, all that it sees, standardised → per task ``<task>_logits``
    (1, C, H/s, W/s).

    Exported by torch.onnx's dynamo exporter, simplified by onnxslim, resizes by whole factors, names readable and the
    same in every export (see ``edgekit.graphs.names``), checked with strict shape inference.

    EdgekitError for a size that is no multiple of 16; GraphError where what comes out is not what it should be.
    """
    return bodies(student, size, (opset,))[opset]


def bodies(student: Student, size: tuple[int, int], opsets: Sequence[int]) -> dict[int, onnx.ModelProto]:
    """One export in several operator sets: the same graph under the same names. See ``body``."""
    check_size(size)
    exported = _simplified(_export(fused(student), size))
    return {opset: _settled(exported, student, opset) for opset in opsets}


def check_size(size: tuple[int, int]) -> None:
    """EdgekitError, naming the size to use, for one that is no multiple of 16."""
    if any(side <= 0 or side % SIZE_MULTIPLE for side in size):
        up = "x".join(str(-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE) for side in size)
        raise EdgekitError(
            f"the size {size[0]}x{size[1]} is no multiple of {SIZE_MULTIPLE}",
            where="--size",
            fix=f"give {up}: the Predictor fits frames of any size into it",
        )


def _settled(exported: onnx.ModelProto, student: Student, opset: int) -> onnx.ModelProto:
    """The exported graph in one operator set, in the form that every file is made of."""
    model = deepcopy(at_opset(exported, opset))
    scale_resizes(model)
    pad_by_pad(model)
    model = readable(model)
    split_channels(model, {logits_name(task): count for task, count in student.sizes.items()})
    model.graph.name = student.name
    model.producer_name, model.producer_version = "edgekit", ""
    return checked(model, opset)


def _export(student: Student, size: tuple[int, int]) -> onnx.ModelProto:
    with _quiet():
        program = torch.onnx.export(
            student.network,
            (torch.zeros(1, student.in_channels, *size),),
            dynamo=True,
            opset_version=_TORCH_OPSET,
            input_names=[INPUT],
            output_names=[_OUTPUT],
            verbose=False,
        )
    model = program.model_proto
    model.ir_version = min(model.ir_version, NEWEST_IR)
    return checked(model, _TORCH_OPSET)


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    return onnxslim.slim(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about packages that it does not need and about its own use of torch."""
    logger = logging.getLogger(_LOG)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch's own copy of a pytree warns about torch's own class
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
