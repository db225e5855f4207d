"""What docs/data.md begins with: two films of rendered flights, and three toy experts that look at colours.

    python examples/flight/make.py FOLDER [--frames N]

The experts are convolutions of 5×5, fitted by least squares to a third world that no film shows: two guess the class of
a pixel, each from half of the views, and one how far away it is (0 is near, 1 is far). They are weak, and stand
where a team has Mask2Former or Depth Anything.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.data.dronescapes.classes import CLASSES
from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.scene import Scene
from edgekit.frames.video import VideoWriter

HERE = Path(__file__).parent
SIZE, RATE, FAR, SIDE = (96, 160), 10, 300.0, 5
WORLDS = ScenesConfig(size=SIZE)


def film(path: Path, split: str, frames: int) -> None:
    scene = Scene(WORLDS, split, 0)
    with VideoWriter(path, RATE) as out:
        for index in range(frames):
            out.write(scene.frame(index)["rgb"])


def patches(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) → (H·W, 1 + 3·5·5): 1, and the colours around each pixel, 0–1, in a convolution kernel's order."""
    padded = np.pad(rgb / 255, ((SIDE // 2,) * 2, (SIDE // 2,) * 2, (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), (0, 1))
    around = around.reshape(rgb.shape[0] * rgb.shape[1], -1)
    return np.concatenate([np.ones((len(around), 1)), around], axis=1)


def expert(path: Path, seen: list[np.ndarray], wanted: list[np.ndarray], last: str) -> None:
    """Fit a convolution to what is ``wanted`` (H·W, channels) of each frame, and write it for any number of frames."""
    inputs, outputs = np.concatenate([patches(rgb) for rgb in seen]), np.concatenate(wanted)
    found = np.linalg.lstsq(inputs, outputs, rcond=None)[0].astype(np.float32).T
    channels = len(found)
    constants = {"bias": found[:, 0], "kernel": found[:, 1:].reshape(channels, 3, SIDE, SIDE)}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["rgb", "kernel", "bias"], ["sum"], pads=[SIDE // 2] * 4),
            helper.make_node(last, ["sum"], ["said"]),
        ],
        "toy_expert",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("said", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=60, help="of each film (default 60)")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    film(given.folder / "flight_1.mp4", "train", given.frames)
    film(given.folder / "flight_2.mp4", "val", given.frames)
    elsewhere = Scene(WORLDS, "test", 0)
    maps = [elsewhere.frame(index) for index in range(0, 320, 40)]
    one_hot = np.eye(len(CLASSES))
    for name, some in (("classes_a", maps[::2]), ("classes_b", maps[1::2])):
        wanted = [one_hot[each["semantic"].ravel()] for each in some]
        expert(given.folder / f"{name}.onnx", [each["rgb"] for each in some], wanted, "Identity")
    far = [np.minimum(np.nan_to_num(each["depth"], nan=FAR), FAR).reshape(-1, 1) / FAR for each in maps]
    expert(given.folder / "depth.onnx", [each["rgb"] for each in maps], [8 * each - 4 for each in far], "Sigmoid")
    for name in ("pipeline.yaml", "recipe.yaml"):
        shutil.copyfile(HERE / name, given.folder / name)


if __name__ == "__main__":
    main()
