"""Real photographs of two kinds: what distillation brings by recipes of data and task alone, over several seeds.

    nohup python benchmarks/real_images.py > real_images.log 2>&1 &      # hours; the same command goes on after a kill
    python benchmarks/real_images.py --recipes camvid --seeds 1          # a part of it; parts can run side by side
    python benchmarks/real_images.py --rows student ensemble             # some of the rows
    python benchmarks/real_images.py --write                             # puts what is measured into RESULTS.md

Rows: one pass of the first teacher, the ensemble, the student on labels alone in as many steps as the distilled one,
the same with the time that teachers, targets and both students took together, and the distilled student. Each is scored
on `val` once per seed. `--write` keeps the figures in `real_images.json`: those of other seeds stay until the recipe
changes, or what its stages compute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from results import provenance, table, write_section
from variants import QUICK, REPOSITORY, Comparison, finished, paired, photographs, spread

from edgekit.frames.files import atomic_write
from edgekit.pipeline.stage import FORMATS
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

GAIN, RETENTION = 5.0, 0.95
GOALS = {"semantic_drone": {"ensemble": 61.0, "student": 57.0}, "camvid": {}}
"""Data set → row → mIoU in percent that the mean over seeds is to reach."""
RECIPES = {"semantic_drone": "Semantic Drone, 70 of 280 frames labelled", "camvid": "CamVid, 92 of 367 frames labelled"}
ROWS = {
    "single_all": "one pass of one teacher",
    "ensemble": "ensemble",
    "baseline": "student, labels only",
    "longer": "student, labels only, in the time of all the others",
    "student": "student, distilled",
}
MEASURED = Path(__file__).with_suffix(".json")

Seeds = dict[int, dict[str, float]]
"""Seed → row → mIoU in percent."""


def markdown(measured: Mapping[str, tuple[Seeds, Mapping[str, float]]]) -> str:
    """For each data set, of its figures and the facts of its networks: a table, and how far the goals are met."""
    parts = [provenance(["torch"])]
    for name, (seeds, facts) in measured.items():
        by_row = {row: [found[row] for found in seeds.values() if row in found] for row in ROWS}
        rows = [[ROWS[row], spread(values), str(len(values))] for row, values in by_row.items() if values]
        parts += [f"**{RECIPES[name]}**, `val`:", table(["model", "mIoU %", "seeds"], rows), _verdicts(name, seeds)]
        about = (
            f"Student: {facts['parameters']:,} parameters; teachers: {facts['teacher_parameters']:,} each, "
            f"{facts['members']} members."
        )
        if "longer" in facts:
            about += f" The longer training on labels alone makes {facts['longer']} times the steps."
        parts.append(about)
    parts.append(
        "Mean ± standard deviation over seeds; a seed decides first weights, batches and augmentation of teachers and "
        "students alike."
    )
    return "\n\n".join(parts)


def _verdicts(name: str, seeds: Seeds) -> str:
    """Lines about the goals, each over the seeds that have the rows that it compares."""
    lines, gains = [], {}
    for row, goal in GOALS[name].items():
        if values := [found[row] for found in seeds.values() if row in found]:
            lines.append(f"- {_held(mean(values) >= goal)}: {ROWS[row]} {mean(values):.2f} (goal {goal:g})")
    for row in ("baseline", "longer"):
        pairs = [found["student"] - found[row] for found in seeds.values() if {"student", row} <= found.keys()]
        if pairs:
            gains[row] = mean(pairs)
            lines.append(f"- distilled over {ROWS[row].partition(', ')[2]}, paired by seed: {paired(pairs)}")
            worse = sum(gain < 0 for gain in pairs)
            each = ", ".join(f"{gain:+.2f}" for gain in pairs)
            lines.append(f"  - at least as good with {len(pairs) - worse} of {len(pairs)} seeds: {each}")
    worst = min(gains.values(), default=None)
    if worst is not None and (worst < GAIN or len(gains) == 2):
        over = "the better of the two" if len(gains) == 2 else "that one, the other was not run:"
        lines.append(f"- {_held(worst >= GAIN)}: over {over} {worst:+.2f} points (goal {GAIN:+g} over both)")
    pairs = [found for found in seeds.values() if {"student", "ensemble"} <= found.keys()]
    if pairs:
        kept = mean(found["student"] for found in pairs) / mean(found["ensemble"] for found in pairs)
        lines.append(f"- {_held(kept >= RETENTION)}: distilled keeps {kept:.1%} of the ensemble (goal {RETENTION:.0%})")
    return "\n".join(lines)


def _held(holds: bool) -> str:
    return "holds" if holds else "**does not hold**"


def measure(
    comparison: Comparison, seeds: Sequence[int], rows: Sequence[str] = tuple(ROWS), known: Mapping[str, float] = {}
) -> tuple[Seeds, dict[str, float]]:
    """Figures of ``rows``, and facts of the networks.

    The fact ``longer``: how many times the labels-only student's steps that row made, the same for all seeds.
    ``known``: facts of earlier runs.
    """
    measured, facts = {}, {key: value for key, value in known.items() if key == "longer"}
    for seed in seeds:
        # What takes longer is told by the time of all others.
        asked = [row for row in ROWS if row != "longer" and ("longer" in rows or row in rows)]
        found = comparison.run(asked, f"seed={seed}")
        facts = found.facts | facts
        measured[seed] = {row: found.miou(row) for row in asked}
        if "longer" in rows:
            facts.setdefault("longer", times_as_long(found.seconds))
            steps = found.facts["steps"] * facts["longer"]
            longer = comparison.run(["baseline"], f"seed={seed}", f"distill.train.steps={steps}")
            measured[seed]["longer"] = longer.miou("baseline")
    return measured, facts


def earlier(name: str, recipe: Recipe, file: Path = MEASURED) -> dict[str, Any]:
    """What ``keep`` has of the same recipe, by stages that compute the same: {of, facts, seeds}; else empty."""
    trained = recipe.trained()
    del trained["seed"], trained["data"]["root"]
    of = hashlib.sha256(json.dumps([trained, FORMATS], sort_keys=True, default=str).encode()).hexdigest()
    kept = json.loads(file.read_text(encoding="utf-8")).get(name) if file.exists() else None
    if not kept or kept["of"] != of:
        return {"of": of, "facts": {}, "seeds": {}}
    return kept | {"seeds": {int(seed): found for seed, found in kept["seeds"].items()}}


def keep(name: str, recipe: Recipe, measured: Seeds, facts: Mapping[str, float], file: Path = MEASURED) -> None:
    """Put figures beside those that the file has of the same recipe by now, seed by seed and row by row."""
    before = earlier(name, recipe, file)
    seeds = before["seeds"]
    for seed, found in measured.items():
        seeds[seed] = seeds.get(seed, {}) | found
    everything = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    everything[name] = {"of": before["of"], "facts": dict(facts), "seeds": dict(sorted(seeds.items()))}
    with atomic_write(file) as part:
        part.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


def times_as_long(seconds: dict[str, float]) -> int:
    """How many times the labels-only student's training all stages together took, rounded, at least 1."""
    return max(1, round(sum(seconds.values()) / max(seconds["baseline"], 0.1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), help="default both")
    data = REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=data, help="folder that holds semantic_drone and camvid")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "real_images", help="folder of its stages")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="default all")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    out = given.out / "quick" if given.quick else given.out
    recipes = {name: REPOSITORY / "recipes" / f"{name}.yaml" for name in RECIPES}
    measured, writes = {}, given.write and not given.quick
    for name in given.recipes:
        folder, recipe = photographs(given.data / name), load_recipe(Recipe, recipes[name])
        comparison = Comparison(out, folder, QUICK if given.quick else (), recipes[name])
        known = {} if given.quick else earlier(name, recipe)["facts"]
        measured[name] = measure(comparison, given.seeds, given.rows, known)
        if writes:
            keep(name, recipe, *measured[name])
    if writes:  # the section holds all that is known, also of the recipes and seeds that were not asked for
        found = {name: earlier(name, load_recipe(Recipe, path)) for name, path in recipes.items()}
        measured = {name: (one["seeds"], one["facts"]) for name, one in found.items() if one["seeds"]}
    text = markdown(measured)
    if writes:
        write_section("Photographs of two kinds", text)
    print(json.dumps({name: seeds for name, (seeds, _) in measured.items()}) if given.json else text)


if __name__ == "__main__":
    finished(main)
