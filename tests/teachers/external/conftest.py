"""Frames in memory, teachers built by hand, and checkpoints of the published layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pydantic import TypeAdapter

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.networks.safeuav import SafeUAV
from edgekit.tasks import Task
from edgekit.teachers.external.config import ExternalConfig
from edgekit.teachers.external.teacher import ExternalTeacher

CLASSES = ("land", "water", "sky")


class Frames:
    """A source over given maps: {frame: {task: native map}}."""

    sequential = False

    def __init__(self, maps: dict[str, dict[str, np.ndarray]]):
        self.maps = maps
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
            "semantic": Task("semantic", "semantic", classes=CLASSES),
            "depth": Task("depth", "depth", range=(1.0, 100.0), unit="m"),
            "near": Task("near", "depth"),
            "normals": Task("normals", "normals", range=(-1.0, 1.0)),
            "roof": Task("roof", "binary"),
        }

    def splits(self):
        return ("train",)

    def frames(self, split):
        return [FrameInfo(name, "s", i, "train", True) for i, name in enumerate(self.maps)]

    def read(self, frame, names):
        return {n: self.maps[frame.name][n] for n in names if n in self.maps[frame.name]}

    def fingerprint(self):
        return "frames"

    def flow(self, frame):
        return None


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


@pytest.fixture
def frames(rgb) -> FrameSet:
    return FrameSet(Frames({"a/0": {"rgb": rgb}, "a/1": {"rgb": 255 - rgb}}))


@pytest.fixture
def open_teacher(tmp_path, frames) -> Callable:
    """open_teacher(kind=…, outputs=…, …): the teacher, its files relative to ``tmp_path``."""

    def open_teacher(**config) -> ExternalTeacher:
        parsed = TypeAdapter(ExternalConfig).validate_python({"name": "other", **config})
        return ExternalTeacher(parsed, tmp_path, frames.tasks, "teacher.external.0")

    return open_teacher


@pytest.fixture
def ask(frames) -> Callable:
    """ask(teacher, size=None, place=0): its soft maps of a frame, numpy (C, h, w)."""

    def ask(teacher: ExternalTeacher, size=None, place: int = 0) -> dict[str, np.ndarray]:
        frame = frames.source.frames("train")[place]
        return {name: soft[0].numpy() for name, soft in teacher.answer(frames, frame, size).items()}

    return ask


@pytest.fixture
def linear(tmp_path) -> Callable:
    """linear(weight (out, in), name="input", …) writes ``net.onnx``: a 1×1 convolution, which numpy does by einsum."""

    def linear(
        weight: np.ndarray,
        *,
        shape: Sequence = (1, None, "h", "w"),
        outputs: Sequence[str] = ("out",),
        dtype: int = TensorProto.FLOAT,
        file: str = "net.onnx",
    ) -> Path:
        shape = [weight.shape[1] if n is None else n for n in shape]
        kernel = numpy_helper.from_array(weight.astype(np.float32)[:, :, None, None], "weight")
        nodes = [helper.make_node("Cast", ["input"], ["x"], to=TensorProto.FLOAT)]
        nodes += [helper.make_node("Conv", ["x", "weight"], [name]) for name in outputs]
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("input", dtype, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [kernel],
        )
        path = tmp_path / file
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
        return path

    return linear


def published_checkpoint(
    path: Path,
    shapes: dict[str, list[int]],
    *,
    weights: dict[str, torch.Tensor] | None = None,
    filters: int = 4,
    statistics: dict[str, list] | None = None,
    **changes,
) -> dict:
    """Write a file of the published layout and return what is in it."""
    channels = sum(shape[0] for shape in shapes.values())
    torch.manual_seed(0)
    content = {
        "state_dict": weights or SafeUAV(channels, channels, width=filters).state_dict(),
        "hyper_parameters": {
            "cfg": {
                "model": {
                    "parameters": {"in_channels": channels, "out_channels": channels, "num_filters": filters},
                    "hparams": {"data_shape": shapes},
                },
                "data": {"parameters": {"task_names": changes.get("task_names", list(shapes))}},
            },
            "statistics": dict(statistics or {}),
        },
    }
    torch.save(content, path)
    return content


@pytest.fixture
def write_checkpoint(tmp_path) -> Callable:
    def write(shapes, **options) -> dict:
        return published_checkpoint(tmp_path / "model.ckpt", shapes, **options)

    return write
