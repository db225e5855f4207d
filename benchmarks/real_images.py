"""Real photographs of two kinds: what distillation brings by the shipped recipes, over several seeds.

    nohup python benchmarks/real_images.py > real_images.log 2>&1 &      # hours; the same command goes on after a kill
    python benchmarks/real_images.py --recipes camvid --seeds 1          # a part of it; parts can run side by side
    python benchmarks/real_images.py --write                             # puts what is finished into RESULTS.md

Rows: one pass of the first teacher, the ensemble, the student on labels alone in as many steps as the distilled one,
the same with the time that teachers, targets and both students took together, and the distilled student. Each is scored
on `val` once per seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from results import provenance, table, write_section
from variants import QUICK, REPOSITORY, Comparison, finished, photographs, spread

GAIN, RETENTION = 5.0, 0.95
RECIPES = {"semantic_drone": "Semantic Drone, 70 of 280 frames labelled", "camvid": "CamVid, 92 of 367 frames labelled"}
ROWS = {
    "single_all": "one pass of one teacher",
    "ensemble": "ensemble",
    "baseline": "repseg, labels only",
    "longer": "repseg, labels only, in the time of all the others",
    "student": "repseg, distilled",
}

Measured = dict[str, dict[int, dict[str, float]]]
"""Recipe → seed → row → mIoU in percent."""


def markdown(measured: Measured, facts: Mapping[str, float]) -> str:
    """Tables, one per data set, and how far the goals are met."""
    parts = [provenance(["torch"])]
    for name, seeds in measured.items():
        by_row = {row: [found[row] for found in seeds.values()] for row in ROWS}
        gains = {row: [found["student"] - found[row] for found in seeds.values()] for row in ("baseline", "longer")}
        kept = mean(by_row["student"]) / mean(by_row["ensemble"])
        rows = [[ROWS[row], spread(values)] for row, values in by_row.items()]
        counted = f"seed {next(iter(seeds))} alone" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
        verdicts = [
            f"- distilled over labels only in as many steps, paired by seed: {spread(gains['baseline'])} points",
            f"- {_held(min(map(mean, gains.values())) >= GAIN)}: over labels only in the time of all the others: "
            f"{spread(gains['longer'])} points (goal {GAIN:+g} over the better of the two)",
            f"- {_held(kept >= RETENTION)}: distilled keeps {kept:.1%} of the ensemble (goal {RETENTION:.0%})",
        ]
        parts += [f"**{RECIPES[name]}**, `val`, {counted}:", table(["model", "mIoU %"], rows), "\n".join(verdicts)]
    about = (
        "Mean ± standard deviation over seeds; a seed decides first weights, batches and augmentation of teachers and "
        f"students alike. Student: {facts['parameters']:,} parameters; teachers: {facts['teacher_parameters']:,} each, "
        f"{facts['members']} members. The longer training on labels alone makes {facts['longer']} times the steps."
    )
    return "\n\n".join([*parts, about])


def _held(holds: bool) -> str:
    return "holds" if holds else "**does not hold**"


def measure(comparison: Comparison, seeds: Sequence[int]) -> tuple[dict[int, dict[str, float]], dict[str, float]]:
    """Seed → row → mIoU, and facts of the networks. Those of ``longer``: times the labels-only student's steps."""
    measured, facts = {}, {}
    for seed in seeds:
        found = comparison.run([row for row in ROWS if row != "longer"], f"seed={seed}")
        facts = facts or dict(found.facts)
        # One factor for all seeds: another time on another day is another stage.
        facts.setdefault("longer", max(1, round(sum(found.seconds.values()) / max(found.seconds["baseline"], 0.1))))
        steps = found.facts["steps"] * facts["longer"]
        longer = comparison.run(["baseline"], f"seed={seed}", f"distill.train.steps={steps}")
        measured[seed] = {row: (longer.miou("baseline") if row == "longer" else found.miou(row)) for row in ROWS}
    return measured, facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), help="default both")
    data = REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=data, help="folder that holds semantic_drone and camvid")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "real_images", help="folder of its stages")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    out = given.out / "quick" if given.quick else given.out
    measured, facts = {}, {}
    for name in given.recipes:
        folder = photographs(given.data / name)
        recipe = REPOSITORY / "recipes" / f"{name}.yaml"
        comparison = Comparison(out, folder, QUICK if given.quick else (), recipe)
        measured[name], facts = measure(comparison, given.seeds)
    text = markdown(measured, facts)
    if given.write and not given.quick:
        write_section("Photographs of two kinds", text)
    print(json.dumps(measured) if given.json else text)


if __name__ == "__main__":
    finished(main)
