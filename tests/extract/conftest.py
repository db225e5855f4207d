"""Two films whose frames tell their number, three toy experts as ONNX files, and every kind of derived map."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage

from edgekit.extract.config import ExtractConfig, Pipeline
from edgekit.extract.run import Extraction, extract
from edgekit.frames.video import VideoWriter
from edgekit.recipe.load import load_recipe

HEIGHT, WIDTH, BITS = 48, 96, 12

TASKS = """
    hsv: {computed: hsv}
    seg_a:
      expert: {kind: onnx, file: seg_a.onnx, inputs: [{std: [255]}]}
      output: {form: logits, task: &four {kind: semantic, classes: [road, house, tree, sky]}}
      batch: 3
    seg_b: {expert: {kind: onnx, file: seg_b.onnx, inputs: [{std: [255]}]}, output: {form: logits, task: *four}}
    depth: {expert: {kind: onnx, file: depth.onnx, inputs: [{std: [255]}]}, output: {task: {kind: depth}}}
    flow: {derive: flow_dis, of: rgb}
    normals_svd(depth): {derive: plane_normals, of: depth, window: 5}
    built: {derive: vote, of: [seg_a, seg_b], members: {seg_a: [house], seg_b: [house, tree]}, least: 1}
    built(nearby): {derive: nearby, of: [built, depth], within: 0.5}
    two: {derive: map_classes, of: seg_a, classes: {ground: [road], other: []}, rest: other}
    semantic_output: {derive: majority, of: [seg_a, seg_b]}
    unsure: {derive: disagreement, of: [seg_a, seg_b]}
    safe-landing: {derive: safe_landing, of: [normals_svd(depth), depth, built]}
"""


def numbered(count: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Frames of a landscape that passes by; the upper rows spell the frame's number in black and white."""
    rng = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(rng.normal(size=(height + 32, width + 64, 3)), (4, 4, 0))
    ground = np.clip(128 + 400 * ground, 0, 255).astype(np.uint8)
    frames = []
    for number in range(count):
        frame = ground[number % 32 :][:height, 2 * number % 64 :][:, :width].copy()
        for bit in range(BITS):
            frame[:16, 8 * bit : 8 * bit + 8] = 255 * (number >> bit & 1)
        frames.append(frame)
    return frames


def number_of(rgb: np.ndarray) -> int:
    """The number that a frame spells."""
    return sum(int(rgb[4:12, 8 * bit + 2 : 8 * bit + 6].mean() > 127) << bit for bit in range(BITS))


def write_film(path: Path, frames: list[np.ndarray], rate: float = 25) -> None:
    with VideoWriter(path, rate) as film:
        for frame in frames:
            film.write(frame)


def write_expert(path: Path, channels: int, seed: int, act: str = "Identity") -> None:
    """A convolution of 3×3 for any number of frames of any size."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(channels, 3, 3, 3)).astype(np.float32)
    weight -= weight.mean(axis=(1, 2, 3), keepdims=True) if act == "Identity" else 0
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node(act, ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "expert",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


class Work:
    """A folder with films a.mp4 (5 frames) and b.mp4 (3), experts, and a pipeline's file."""

    def __init__(self, base: Path):
        self.base, self.out = base, base / "out"
        self.sets = "{train_set: [a.mp4], semisupervised_set: [b.mp4]}"
        self.keys, self.tasks = "", TASKS

    @property
    def pipeline(self) -> Path:
        path = self.base / "pipeline.yaml"
        path.write_text(f"extract:\n  sets: {self.sets}\n{self.keys}  tasks:{self.tasks or ' {}'}\n", encoding="utf-8")
        return path

    def config(self) -> ExtractConfig:
        return load_recipe(Pipeline, self.pipeline).extract

    def run(self, out: Path | None = None, **options) -> Extraction:
        return extract(self.config(), self.base, out or self.out, **options)

    def tree(self, out: Path | None = None) -> dict[str, str]:
        """Hash of every file by its name, but for the rates, which are times."""
        out = out or self.out
        files = [p for p in sorted(out.rglob("*")) if p.is_file() and "rates" not in p.parts]
        return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="session")
def _materials(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("films")
    write_film(base / "a.mp4", numbered(5))
    write_film(base / "b.mp4", numbered(3, seed=1))
    write_expert(base / "seg_a.onnx", 4, 0)
    write_expert(base / "seg_b.onnx", 4, 1)
    write_expert(base / "depth.onnx", 1, 2, "Sigmoid")
    return base


@pytest.fixture
def work(tmp_path, _materials) -> Work:
    for path in _materials.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Work(tmp_path)


@pytest.fixture(scope="session")
def film() -> Callable[[Path, list[np.ndarray]], None]:
    return write_film


@pytest.fixture(scope="session")
def frames_of() -> Callable[..., list[np.ndarray]]:
    return numbered


@pytest.fixture(scope="session")
def spelled() -> Callable[[np.ndarray], int]:
    return number_of


@pytest.fixture
def stored() -> Callable[..., np.ndarray]:
    """``stored(out, "train_set", "rgb", "a_000003")``: the array, as any reader of npz sees it."""

    def read(out: Path, *parts: str) -> np.ndarray:
        with np.load(Path(out, *parts).with_name(parts[-1] + ".npz")) as file:
            assert file.files == ["arr_0"]
            return file["arr_0"]

    return read
