"""What a thermal camera is worth to a student, and what is left of it where the camera fails: on `scenes`.

    python benchmarks/thermal_student.py                                     # an hour on two cores
    python benchmarks/thermal_student.py --worlds 2 1 --frames 24 --steps 400 --size 64 112    # minutes; noisy

Three labels-only students of one shape, steps and seed: of rgb; of rgb and thermal; and of both that may lack thermal.
Their mIoU on worlds that none was trained on, of the last one with the camera and without. Labels alone, so that
nothing but the sensor differs; what an ensemble adds is another question.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from edgekit.pipeline.evaluation import score_models, student_rows
from edgekit.pipeline.training import train_student
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

STUDENTS = {"rgb": (["rgb"], []), "both": (["rgb", "thermal"], []), "may lack": (["rgb", "thermal"], ["thermal"])}


def recipe_of(asked: argparse.Namespace, modalities: list[str], may_lack: list[str]) -> dict:
    train, val = asked.worlds
    height, width = asked.size
    return {
        "name": "thermal",
        "data": {
            "source": "scenes",
            "size": [height, width],
            "scenes": {"train": train, "val": val, "test": 0},
            "frames_per_scene": asked.frames,
            "spacing": 3,
        },
        "tasks": {"semantic": {}},
        "student": {
            "name": "repseg",
            "width": asked.width,
            "seed": asked.seed,
            "modalities": modalities,
            "may_lack": may_lack,
        },
        "distill": {
            "start": "nothing",
            "train": {"steps": asked.steps, "batch_size": 8, "crop": [height, width], "workers": 1},
        },
        "evaluate": {"split": "val"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, nargs=2, default=[8, 4], metavar=("TRAIN", "VAL"))
    parser.add_argument("--frames", type=int, default=40, help="of each world")
    parser.add_argument("--size", type=int, nargs=2, default=[160, 288], metavar=("H", "W"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=STUDENTS, nargs="*", default=list(STUDENTS))
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        for name in asked.only:
            path = Path(folder) / "recipe.yaml"
            path.write_text(yaml.safe_dump(recipe_of(asked, *STUDENTS[name])))
            bench = Workbench.open(load_recipe(Recipe, path), path.parent, path.parent, path.parent / "log.jsonl")
            scores, _ = score_models(bench, student_rows(bench, {"student": train_student(bench)}), "val")
            for row, found in scores.items():
                miou = round(100 * found["semantic"]["miou"], 2)
                print(json.dumps({"student": name, "row": row, "miou": miou, "iou": found["semantic"]["iou"]}))


if __name__ == "__main__":
    main()
