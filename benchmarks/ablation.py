"""What each choice of the ensemble and of the student's losses is worth, on folds inside `train`.

    nohup python benchmarks/ablation.py > ablation.log 2>&1 &      # hours; the same command goes on after a kill

The settings are those of recipes/semantic_drone.yaml, but teachers begin from nothing and see six modalities, so that
thirty maskings exist, and --steps gives all students another budget: fewer of them save hours.
A fold holds a fourth of `train` out, whole scenes or runs of neighbours, and scores on the labelled frames among them;
`val` is never read. One seed; the student is repseg. Variants share teachers and targets wherever they can: one
teacher serves all numbers of maskings.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from statistics import mean

from results import provenance, table, write_section
from variants import PHOTOGRAPHS, QUICK, REPOSITORY, Comparison, Found, finished, photographs

FOLDS = 4
COMMON = (
    "teacher.modalities=[rgb, hsv, lab, edges, texture, blur]",
    "teacher.masking={keep: [rgb], hide: 0.5}",
    "teacher.members=[{family: repseg, width: 32, seed: 0}, {family: repseg, width: 32, seed: 1}]",
    *("teacher.train.steps=6500", "teacher.train.labelled_share=0.875", "teacher.train.ema=0.998"),
    *(
        "ensemble.maskings=3",
        "ensemble.scales=[1.0]",
        f"data.fold.of={FOLDS}",
        "evaluate.split=val",
        "student.name=repseg",
    ),
)
ONE = "teacher.members=[{family: repseg, width: 32, seed: 0}]"
PLAIN = ("ensemble.flips=false", "ensemble.vertical_flips=false")
FLIPPED = ("ensemble.flips=true", "ensemble.vertical_flips=true")
MASKINGS = (1, 4, 8, 16, 30)
LOSSES = {
    "soft": "{soft: {}}",
    "hard": "{hard: {}}",
    "cwd": "{cwd: {}}",
    "dist": "{dist: {}}",
    "all four": "{soft: {}, hard: {}, cwd: {}, dist: {}}",
}
PSEUDO = {
    "soft": "{soft: {}}",
    "hard": "{hard: {}}",
    "hard, above 0.7": "{hard: {threshold: 0.7}}",
    "soft and hard": "{soft: {}, hard: {}}",
}

Variant = tuple[str, ...]
"""Overrides of the recipe."""


def sections(maskings: tuple[int, ...]) -> dict[str, dict[str, Variant]]:
    """Section → row → overrides; a row may stand in several sections and is trained once."""
    most = f"ensemble.maskings={max(m for m in maskings if m <= 8)}"
    ensembles = {}
    for masked, networks, flips in product((False, True), (1, 2), (False, True)):
        name = f"{'masked' if masked else 'unmasked'}, {networks} network{'s' * (networks > 1)}{', flips' * flips}"
        ensembles[name] = (
            most if masked else "ensemble.maskings=1",
            *((ONE,) if networks == 1 else ()),
            *(FLIPPED if flips else PLAIN),
        )
    return {
        "Maskings of one network": {f"N = {n}": (f"ensemble.maskings={n}", ONE, *PLAIN) for n in maskings},
        "Masked ensemble × networks × flips": ensembles,
        "Losses, alone and together": {n: (f"distill.losses={text}",) for n, text in LOSSES.items()},
        "Agreement weighting": {
            "on": ("distill.losses={soft: {}}",),
            "off": ("distill.losses={soft: {}}", "distill.agreement=false"),
        },
        "Pseudo-labels, hard or soft": {n: (f"distill.losses={text}",) for n, text in PSEUDO.items()},
    }


def measure(comparison: Comparison, variants: dict[str, dict[str, Variant]], folds: list[int]) -> dict:
    """Section → row → one result per fold."""
    found: dict[str, dict[str, list[Found]]] = {name: {row: [] for row in rows} for name, rows in variants.items()}
    for fold in folds:  # whole folds one after the other: a first one is a result already
        for section, rows in variants.items():
            for row, changes in rows.items():
                found[section][row].append(comparison.run(["ensemble", "student"], f"data.fold.index={fold}", *changes))
    return found


def single(comparison: Comparison, folds: list[int]) -> dict[str, list[float]]:
    """What the variants stand beside: one pass of a teacher, and the student on labels alone."""
    runs = [comparison.run(["single_all", "baseline"], f"data.fold.index={fold}") for fold in folds]
    return {row: [run.miou(row) for run in runs] for row in ("single_all", "baseline")}


def plain(found: dict) -> dict:
    """The figures alone, for JSON and the tables."""
    return {
        section: {
            row: {
                "members": runs[0].facts["members"],
                "target_seconds": [run.facts["target_seconds"] for run in runs],
                "ensemble": [run.miou("ensemble") for run in runs],
                "student": [run.miou("student") for run in runs],
            }
            for row, runs in rows.items()
        }
        for section, rows in found.items()
    }


def markdown(figures: dict, beside: dict[str, list[float]], folds: list[int], steps: int | None) -> str:
    where = f"fold {folds[0]}" if len(folds) == 1 else f"folds {', '.join(map(str, folds))} (each in brackets)"
    budget = f"{steps:,} steps" if steps else "the steps of the recipe"
    about = (
        f"mIoU % on the labelled frames held out of `train`, {where} of {FOLDS}. Students make {budget}. One seed: "
        f"differences below a point are not worth a choice. For comparison: one pass of one teacher "
        f"{_cell(beside['single_all'])}, the student on labels only {_cell(beside['baseline'])}."
    )
    parts = [provenance(["torch"]), about]
    for section, rows in figures.items():
        shown = [
            [row, f"{f['members']}", _cell(f["ensemble"]), _cell(f["student"]), f"{mean(f['target_seconds']):.0f} s"]
            for row, f in rows.items()
        ]
        parts += [f"**{section}**", table(["variant", "members", "ensemble", "student", "targets"], shown)]
    return "\n\n".join(parts)


def _cell(values: list[float]) -> str:
    each = f" ({', '.join(f'{v:.2f}' for v in values)})" if len(values) > 1 else ""
    return f"{mean(values):.2f}{each}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1], help=f"which of {FOLDS} (default 0 1)")
    parser.add_argument("--steps", type=int, help="steps of every student, labels-only too (default: the recipe's)")
    parser.add_argument("--data", type=Path, default=PHOTOGRAPHS, help="folder of the photographs")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "ablation", help="folder of its stages")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    out = given.out / "quick" if given.quick else given.out
    budget = (f"distill.train.steps={given.steps}",) if given.steps else ()
    common = (*COMMON, *(QUICK if given.quick else budget))
    comparison = Comparison(out, photographs(given.data), common)
    folds = given.folds[:1] if given.quick else given.folds
    variants = sections((1, 2) if given.quick else MASKINGS)
    if given.quick:
        variants = {section: dict(list(rows.items())[:2]) for section, rows in variants.items()}
    figures = plain(measure(comparison, variants, folds))
    beside = single(comparison, folds)
    text = markdown(figures, beside, folds, given.steps)
    if not given.quick:
        write_section("Ablation: ensemble and losses", text)
    print(json.dumps({"sections": figures, "beside": beside, "folds": folds}) if given.json else text)


if __name__ == "__main__":
    finished(main)
