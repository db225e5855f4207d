"""Draws the picture of docs/data.md: maps of a rendered flight, its experts those that the source `scenes` simulates.

python tools/data_pictures.py [PICTURE]
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgekit.data.dronescapes.classes import CLASSES, COLOURS
from edgekit.data.dronescapes.files import read_map, write_array
from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.scene import Scene
from edgekit.extract.config import ExtractConfig
from edgekit.extract.files import Tree
from edgekit.extract.plan import open_plan
from edgekit.extract.run import extract
from edgekit.frames.grid import grid
from edgekit.frames.images import write_png
from edgekit.frames.video import VideoWriter
from edgekit.tasks import kind_of

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "extract.png"
HEIGHT, WIDTH, FRAMES, SHOWN, COLUMNS = 160, 288, range(12, 15), 1, 4
FAR = 300.0  # metres; the sky is as far


def config(fov: float) -> ExtractConfig:
    classes = {"kind": "semantic", "classes": list(CLASSES), "colours": [list(colour) for colour in COLOURS]}
    depth = {"kind": "depth", "unit": "m", "range": [1, FAR]}

    def said(task: dict) -> dict:
        return {"expert": {"kind": "npz", "folders": ["predicted"]}, "output": {"task": task}}

    def vote(*names: str) -> dict:
        return {"derive": "vote", "of": ["seg_a", "seg_b"], "members": {"seg_a": list(names), "seg_b": list(names)}}

    return ExtractConfig(
        sets={"train_set": ["flight.mp4"]},
        camera={"fov": fov, "sensor": [WIDTH, HEIGHT]},
        tasks={
            "hsv": {"computed": "hsv"},
            "seg_a": said(classes),
            "seg_b": said(classes),
            "semantic_output": {"derive": "majority", "of": ["seg_a", "seg_b"]},
            "unsure": {"derive": "disagreement", "of": ["seg_a", "seg_b"]},
            "depth": said(depth),
            "normals_svd(depth)": {"derive": "plane_normals", "of": "depth"},
            "buildings": vote("residential"),
            "buildings(nearby)": {"derive": "nearby", "of": ["buildings", "depth"], "within": 120},
            "soft_ground": vote("land", "hill"),
            "safe-landing": {
                "derive": "safe_landing", "of": ["normals_svd(depth)", "depth", "soft_ground"], "within": 160,
            },
        },
    )  # fmt: skip


def render(base: Path) -> float:
    """A film, and what two class experts and one of depth say of its frames; the diagonal field of view in degrees."""
    scene = Scene(ScenesConfig(size=(HEIGHT, WIDTH)), "test", 0)
    with VideoWriter(base / "flight.mp4", 10) as film:
        for number, index in enumerate(FRAMES):
            maps = scene.frame(index)
            film.write(maps["rgb"])
            said = {"seg_a": maps["simulated_segmentation_a"], "seg_b": maps["simulated_segmentation_b"]}
            said["depth"] = np.nan_to_num(maps["simulated_depth"].astype(np.float32), nan=FAR)
            for name, array in said.items():
                path = base / "predicted" / name / f"flight_{number:06d}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_array(path, array, compress=True)
    focal = scene.flight.pose(FRAMES[0]).focal * WIDTH
    return math.degrees(2 * math.atan(math.hypot(WIDTH, HEIGHT) / 2 / focal))


def main(picture: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base, out = Path(folder), Path(folder) / "out"
        pipeline = config(render(base))
        done = extract(pipeline, base, out)
        assert not done.failed, done.failed
        cells = []
        for name, step in open_plan(pipeline, base).items():
            path = Tree(out).file("train_set", name, f"flight_{SHOWN:06d}")
            native = read_map(step.task, path)
            cells.append(grid([[kind_of(step.task).picture(step.task, native)]], [], [name]))
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    write_png(picture, grid(rows, [], []))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else PICTURE)
