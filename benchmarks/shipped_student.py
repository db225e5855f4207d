"""The student that comes with edgekit, trained on rendered worlds alone, on photographs that it was never shown.

    python benchmarks/shipped_student.py [--bundle uav] [--data ../shared/data] [--write]

Scored is the INT8 file, by onnxruntime, on `val` of data sets whose classes can be read as the student's: what a label
names differently, or what the worlds do not have, is ignored. An answer that no label has (a hill, say) is an error.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from results import provenance, table, write_section

from edgekit.data.image_folder.config import ImageFolderConfig
from edgekit.data.image_folder.source import ImageFolder
from edgekit.runtime.load import load
from edgekit.runtime.predictor import Predictor
from edgekit.tasks import Task

SECTION = "The student that comes with edgekit"
DATA = Path(__file__).parents[2] / "shared" / "data"
CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "void",
)
SETS: Mapping[str, Mapping[str, Any]] = {
    "Semantic Drone, from straight above": {
        "root": "semantic_drone",
        "classes": {
            "land": ["grass", "dirt", "gravel", "rocks"],
            "forest": ["tree", "bald-tree", "vegetation"],
            "residential": ["roof", "wall", "window", "door"],
            "road": ["paved-area"],
            "little-objects": ["car", "person", "bicycle", "dog"],
            "water": ["water", "pool"],
        },
        "ignore": ["unlabeled", "fence", "fence-pole", "ar-marker", "obstacle", "conflicting"],
    },
    "CamVid, from a car": {
        "root": "camvid",
        "class_names": CAMVID,
        "classes": {
            "forest": ["tree"],
            "residential": ["building"],
            "road": ["road", "pavement"],
            "little-objects": ["car", "pedestrian", "bicyclist"],
            "sky": ["sky"],
        },
        "ignore": ["pole", "sign", "fence", "void"],
    },
}
"""Title → what an `image_folder` is told: its classes are the student's."""


def confusion(predictor: Predictor, source: ImageFolder, task: Task) -> np.ndarray:
    """(classes, classes) pixels of the student's ``task`` on `val`: row the label, column the answer."""
    labels = source.tasks[source.label]
    places = np.array([task.classes.index(name) for name in labels.classes])
    counts = np.zeros((len(task.classes),) * 2, np.int64)
    for frame in source.frames("val"):
        maps = source.read(frame, ["rgb", labels.name])
        known = maps[labels.name] < len(places)
        true, said = places[maps[labels.name][known]], predictor.infer(maps["rgb"])[task.name][known]
        counts += np.bincount(true * len(counts) + said, minlength=counts.size).reshape(counts.shape)
    return counts


def section(title: str, task: Task, counts: np.ndarray) -> str:
    """A line and a table of one data set: IoU of the classes that labels hold, and what each is taken for most."""
    rows = []
    held = np.flatnonzero(counts.sum(axis=1))
    ious = counts.diagonal() / np.maximum(counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal(), 1)
    for i in held:
        wrong = np.where(np.arange(len(counts)) == i, 0, counts[i])
        taken = f"{task.classes[int(wrong.argmax())]}, {100 * wrong.max() / counts[i].sum():.0f} %"
        share = 100 * counts[i].sum() / counts.sum()
        rows.append([task.classes[i], f"{share:.1f}", f"{100 * ious[i]:.1f}", taken])
    right = 100 * counts.diagonal().sum() / counts.sum()
    head = f"**{title}**: mIoU {100 * ious[held].mean():.1f} % over {len(held)} classes, {right:.1f} % of pixels right."
    return f"{head}\n\n{table(['class', 'pixels %', 'IoU %', 'taken most for'], rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="uav")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with semantic_drone and camvid")
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    given = parser.parse_args()
    parts = [provenance(["onnxruntime"])]
    with load(given.bundle, precision="int8", outputs=["semantic"]) as predictor:
        (task,) = (task for task in predictor.manifest.tasks if task.name == "semantic")
        for title, told in SETS.items():
            source = ImageFolder(ImageFolderConfig(**told), given.data)
            parts.append(section(title, task, confusion(predictor, source, task)))
    body = "\n\n".join(parts)
    print(body)
    if given.write:
        write_section(SECTION, body)


if __name__ == "__main__":
    main()
