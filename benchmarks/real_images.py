"""Real photographs: what distillation brings, with the settings of recipes/semantic_drone.yaml and several seeds.

    nohup python benchmarks/real_images.py > real_images.log 2>&1 &      # hours; the same command goes on after a kill
    python benchmarks/real_images.py --seeds 1                           # one seed; they can run side by side

Rows: one pass of the first teacher, the ensemble, the labels-only student, and the students distilled from the
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
# The paper's students are of another family than the teachers: they start from nothing.
OTHERS = {name: (f"student.name={name}", "distill.warm_start=false") for name in ("safeuav-430k", "safeuav-150k")}


def measure(comparison: Comparison, seed: int, others: Sequence[str]) -> dict[str, Found]:
    """Student → what its run came to; repseg's also holds the rows that all share."""
    own = f"seed={seed}"
    found = {"repseg": comparison.run(["single_all", "ensemble", "baseline", "student"], own)}
    return found | {name: comparison.run(["student"], own, *OTHERS[name]) for name in others}


def rows_of(by_seed: dict[int, dict[str, Found]]) -> dict[str, dict]:
    """Row → parameters and its mIoU per seed, in percent."""
    runs = list(by_seed.values())
    shared = {"one pass of one teacher": "single_all", "ensemble": "ensemble", "repseg, labels only": "baseline"}
    first = runs[0]["repseg"].facts
    sizes = {"single_all": first["teacher_parameters"], "ensemble": None, "baseline": first["parameters"]}
    rows = {
        title: {"parameters": sizes[row], "miou": [run["repseg"].miou(row) for run in runs]}
        for title, row in shared.items()
    }
    for name in runs[0]:
        parameters = runs[0][name].facts["parameters"]
        rows[f"{name}, distilled"] = {"parameters": parameters, "miou": [run[name].miou("student") for run in runs]}
    return rows


def markdown(rows: dict[str, dict], seeds: list[int]) -> str:
    ensemble, labels = (mean(rows[name]["miou"]) for name in ("ensemble", "repseg, labels only"))
    shown, verdicts = [], []
    for name, row in rows.items():
        score, distilled = mean(row["miou"]), name.endswith("distilled")
        kept, gain = score / ensemble, score - labels
        size = "-" if row["parameters"] is None else f"{row['parameters']:,}"
        more = [f"{kept:.1%}", f"{gain:+.2f}"] if distilled else ["-", "-"]
        shown.append([name, size, spread(row["miou"]), *more])
        if distilled and row["parameters"] <= MOST_PARAMETERS:
            held = "holds" if kept >= RETENTION and gain >= GAIN else "**does not hold**"
            verdicts.append(f"- {name}: {held} ({kept:.1%}, {gain:+.2f} points)")
    goal = (
        f"Goal, for students of at most {MOST_PARAMETERS:,} parameters: {RETENTION:.0%} of the ensemble's mIoU and "
        f"{GAIN:+g} points over labels only."
    )
    about = (
        f"`val` of the Semantic Drone photographs, 40 frames; seeds {', '.join(map(str, seeds))}: mean ± standard "
        "deviation. A seed decides the networks' first weights, the batches and the augmentation of teachers and "
        "students alike. Labels-only and distilled students make equally many steps."
    )
    header = ["model", "parameters", "mIoU %", "of the ensemble", "over labels only"]
    return "\n\n".join([provenance(["torch"]), table(header, shown), about, "\n".join([goal, "", *verdicts])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--others", nargs="*", choices=OTHERS, default=list(OTHERS), help="beside repseg; default both")
    parser.add_argument("--data", type=Path, default=PHOTOGRAPHS, help="folder of the photographs")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "real_images", help="folder of its stages")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    out = given.out / "quick" if given.quick else given.out
    comparison = Comparison(out, photographs(given.data), QUICK if given.quick else ())
    rows = rows_of({seed: measure(comparison, seed, given.others) for seed in given.seeds})
    text = markdown(rows, given.seeds)
    if not given.quick and len(given.seeds) > 1:
        write_section("Real photographs", text)
    print(json.dumps({"rows": rows, "seeds": given.seeds}) if given.json else text)


if __name__ == "__main__":
    finished(main)
