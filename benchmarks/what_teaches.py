"""Does the ensemble teach? Students of one pass, of its mirrorings, of two teachers, and of all members, on folds.

    nohup python benchmarks/what_teaches.py > what_teaches.log 2>&1 &    # hours; the same command goes on after a kill
    python benchmarks/what_teaches.py --recipes camvid --folds 0 --steps 2000    # a part of it

The settings are those of the shipped recipes but for --steps of the students. A fold holds a fourth of `train` out,
whole scenes or runs of neighbours, and scores on the labelled frames among them; `val` is never read. Differences are
paired by fold and seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from results import provenance, table, write_section
from variants import QUICK, REPOSITORY, Comparison, finished, paired, photographs, spread

FOLDS = 4
RECIPES = ("semantic_drone", "camvid")
FIRST = "teacher.members=[{family: lite, seed: 0}]"
PLAIN = ("ensemble.flips=false", "ensemble.vertical_flips=false")
ALL = "all of the recipe"
TEACHERS: dict[str, tuple[bool, tuple[str, ...]]] = {
    "one pass of the first teacher": (True, (FIRST, *PLAIN)),
    "its mirrorings": (True, (FIRST,)),
    "its mirrorings and scales": (False, (FIRST,)),
    "one pass of each teacher": (True, PLAIN),
    ALL: (False, ()),
}
"""Whether frames are shown at the recipe's first scale alone, and what else differs from the recipe."""

Scores = dict[str, dict[str, list[float]]]
"""Teachers → ensemble or student → mIoU in percent, one per fold and seed."""


def measure(comparison: Comparison, folds: Sequence[int], seeds: Sequence[int]) -> Scores:
    found: Scores = {name: {"ensemble": [], "student": []} for name in TEACHERS}
    for fold in folds:
        for seed in seeds:
            place = (f"data.fold={{index: {fold}, of: {FOLDS}}}", "evaluate.split=val", f"seed={seed}")
            scale = comparison.open(*place).recipe.ensemble.scales[0]
            for name, (one_scale, changes) in TEACHERS.items():
                changes = (f"ensemble.scales=[{scale}]", *changes) if one_scale else changes
                run = comparison.run(["ensemble", "student"], *place, *changes)
                for row, values in found[name].items():
                    values.append(run.miou(row))
    return found


def markdown(measured: Mapping[str, Scores], steps: int, folds: Sequence[int], seeds: Sequence[int]) -> str:
    parts = [provenance(["torch"])]
    for recipe, found in measured.items():
        first = next(iter(found.values()))["student"]
        rows = []
        for name, values in found.items():
            gains = [own - one for own, one in zip(values["student"], first, strict=True)]
            rows.append([name, spread(values["ensemble"]), spread(values["student"]), paired(gains)])
        header = ["targets of", "their own mIoU %", "student, mIoU %", "over one pass, paired"]
        parts += [f"**{recipe}**", table(header, rows)]
        gains = [own - one for own, one in zip(found[ALL]["student"], first, strict=True)]
        parts.append(f"Members beyond one pass bring the student {paired(gains)}.")
    where = f"folds {', '.join(map(str, folds))} of {FOLDS} inside `train`, seeds {', '.join(map(str, seeds))}"
    parts.append(f"Mean ± standard deviation over {where}; students make {steps:,} steps.")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1], help="default 0 1")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="default 0 1")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), help="default both")
    parser.add_argument("--steps", type=int, default=3000, help="of every student (default 3000)")
    data = REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=data, help="folder that holds semantic_drone and camvid")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "what_teaches", help="folder of its stages")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    out = given.out / "quick" if given.quick else given.out
    measured = {}
    for name in given.recipes:
        common = QUICK if given.quick else (f"distill.train.steps={given.steps}",)
        recipe = REPOSITORY / "recipes" / f"{name}.yaml"
        comparison = Comparison(out, photographs(given.data / name), common, recipe)
        measured[name] = measure(comparison, given.folds, given.seeds)
    text = markdown(measured, given.steps, given.folds, given.seeds)
    if given.write and not given.quick:
        write_section("Does the ensemble teach?", text)
    print(json.dumps(measured) if given.json else text)


if __name__ == "__main__":
    finished(main)
