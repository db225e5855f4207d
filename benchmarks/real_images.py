"""Real photographs: what distillation brings, with the settings of recipes/semantic_drone.yaml and several seeds.

    nohup python benchmarks/real_images.py > real_images.log 2>&1 &      # hours; the same command goes on after a kill
    python benchmarks/real_images.py --seeds 1                           # one seed; they can run side by side
    python benchmarks/real_images.py --students safeuav-150k             # one student; prints, and records nothing

Rows: one pass of the first teacher, the ensemble, repseg trained on labels only, and the students distilled from the
ensemble: repseg, and the paper's two. Each is scored on `val` once per seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from results import provenance, table, write_section
from variants import PHOTOGRAPHS, QUICK, REPOSITORY, Comparison, Found, finished, photographs, spread

RETENTION, GAIN, MOST_PARAMETERS = 0.97, 3.0, 430_000
LABELLED = "repseg"  # the student that is trained on labels only too
# The paper's students are of another family than the teachers, so they start from nothing. They answer at the size that
# they see: a quarter of the frame, where the targets lie too, has a quarter of the pixels of half of it. The learning
# rate is the recipe's: of 1e-3, 3e-3 and 1e-2 the best on a fold inside train, on labels only.
PAPER = (
    "distill.warm_start=false",
    "student.input_scale=0.25",
    "distill.train.crop=[80, 120]",
    "distill.train.augment.scale=[0.175, 0.4]",
    "distill.train.label_stride=1",
)
STUDENTS = {LABELLED: (), **{name: (f"student.name={name}", *PAPER) for name in ("safeuav-430k", "safeuav-150k")}}


def measure(comparison: Comparison, seed: int, students: Sequence[str]) -> dict[str, Found]:
    """Student → what its run came to; the first one's also holds the rows that all share, repseg's the labels-only."""
    found = {}
    for name in students:
        rows = ["student", *(["baseline"] if name == LABELLED else []), *([] if found else ["single_all", "ensemble"])]
        found[name] = comparison.run(rows, f"seed={seed}", *STUDENTS[name])
    return found


def rows_of(by_seed: dict[int, dict[str, Found]]) -> dict[str, dict]:
    """Row → parameters and its mIoU per seed, in percent."""
    runs = list(by_seed.values())
    first = next(iter(runs[0]))
    rows = {
        "one pass of one teacher": _row(runs, first, "single_all", "teacher_parameters"),
        "ensemble": _row(runs, first, "ensemble", None),
    }
    if LABELLED in runs[0]:
        rows[f"{LABELLED}, labels only"] = _row(runs, LABELLED, "baseline", "parameters")
    return rows | {f"{name}, distilled": _row(runs, name, "student", "parameters") for name in runs[0]}


def _row(runs: Sequence[dict[str, Found]], student: str, row: str, size: str | None) -> dict:
    parameters = runs[0][student].facts[size] if size else None
    return {"parameters": parameters, "miou": [run[student].miou(row) for run in runs]}


def markdown(rows: dict[str, dict], seeds: list[int]) -> str:
    ensemble, labels = (mean(rows[n]["miou"]) if n in rows else None for n in ("ensemble", f"{LABELLED}, labels only"))
    shown, verdicts = [], []
    for name, row in rows.items():
        score, distilled = mean(row["miou"]), name.endswith("distilled")
        kept, gain = score / ensemble, "-" if labels is None else f"{score - labels:+.2f}"
        size = "-" if row["parameters"] is None else f"{row['parameters']:,}"
        shown.append([name, size, spread(row["miou"]), *([f"{kept:.1%}", gain] if distilled else ["-", "-"])])
        if distilled and row["parameters"] <= MOST_PARAMETERS and labels is not None:
            held = "holds" if kept >= RETENTION and score - labels >= GAIN else "**does not hold**"
            verdicts.append(f"- {name}: {held} ({kept:.1%}, {gain} points)")
    goal = (
        f"Goal, for students of at most {MOST_PARAMETERS:,} parameters: {RETENTION:.0%} of the ensemble's mIoU and "
        f"{GAIN:+g} points over {LABELLED} on labels only."
    )
    about = (
        f"`val` of the Semantic Drone photographs, 40 frames; seeds {', '.join(map(str, seeds))}: mean ± standard "
        "deviation. A seed decides the networks' first weights, the batches and the augmentation of teachers and "
        "students alike. Labels-only and distilled students make equally many steps. The paper's students see frames "
        f"at a quarter of their size and start from nothing; {LABELLED} sees them at half and, distilled, starts "
        "from the first teacher's weights."
    )
    header = ["model", "parameters", "mIoU %", "of the ensemble", "over labels only"]
    told = ["\n".join([goal, "", *verdicts])] if verdicts else []
    return "\n\n".join([provenance(["torch"]), table(header, shown), about, *told])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS), help="default all")
    parser.add_argument("--data", type=Path, default=PHOTOGRAPHS, help="folder of the photographs")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "real_images", help="folder of its stages")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    out = given.out / "quick" if given.quick else given.out
    comparison = Comparison(out, photographs(given.data), QUICK if given.quick else ())
    rows = rows_of({seed: measure(comparison, seed, given.students) for seed in given.seeds})
    text = markdown(rows, given.seeds)
    if not given.quick and len(given.seeds) > 1 and set(given.students) == set(STUDENTS):
        write_section("Real photographs", text)
    print(json.dumps({"rows": rows, "seeds": given.seeds}) if given.json else text)


if __name__ == "__main__":
    finished(main)
