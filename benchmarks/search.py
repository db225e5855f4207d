"""Whether a search finds a better student of `semantic_drone` for the same milliseconds, or an equal one in fewer.

    nohup python benchmarks/search.py > search.log 2>&1 &      # days; the same command goes on after a kill

Two searches: with the INT8 time of the recipe's own student on this CPU, one thread, as the budget, and with that
through 1.4. Settings are chosen on a fold inside `train`; then the recipe's student and the best of each search are
distilled whole with three seeds and scored on `val`. Leave the machine quiet while it measures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from results import provenance, table, write_section
from variants import PHOTOGRAPHS, QUICK, RECIPE, finished, photographs, spread

from edgekit.api import distill
from edgekit.frames.files import write_text
from edgekit.pipeline.training import untrained_student
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import find_recipe
from edgekit.search.command import search_recipe
from edgekit.search.latency import OnCpu, cost_of
from edgekit.search.space import overrides_of

FASTER = 1.4
SEEDS = (0, 1, 2)


def own_ms(root: Path, common: list[str], clock: OnCpu) -> float:
    """INT8 time of the recipe's own student, measured once: a study is of one budget."""
    file = root / "own.json"
    if not file.exists():
        recipe, base = find_recipe(RECIPE, common)
        bench = Workbench.open(recipe, base, root, root / "log.jsonl")
        write_text(file, json.dumps(cost_of(clock, bench, untrained_student(bench), "int8").ms))
    return json.loads(file.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of stages, studies and runs")
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--quick", action="store_true", help="prove that it runs; the figures mean nothing")
    given = parser.parse_args()
    common = [f"data.root={photographs(given.data)}", *(QUICK if given.quick else ())]
    clock = OnCpu(1)
    own = own_ms(given.root, common, clock)
    chosen, figures = {"the recipe's own": []}, {"the recipe's own": (own, None)}
    for name, budget in (("same time", 1.02 * own), (f"{FASTER} × faster", own / FASTER)):
        study = given.root / f"search-{'same' if budget > own else 'faster'}"
        found = search_recipe(
            RECIPE, common, clock, budget=f"{budget:.3g}ms", trials=given.trials, study=study, vary=["precision=int8"]
        )
        for point in found["points"]:
            if point["own"]:
                figures["the recipe's own"] = (point["ms"], point["score"])
        best = found["points"][0]
        chosen[name], figures[name] = overrides_of(best["values"]), (best["ms"], best["score"])
    rows = []
    for name, changes in chosen.items():
        runs = [distill(RECIPE, overrides=[*common, *changes, f"seed={s}"], out=given.root) for s in SEEDS]
        miou = spread([100 * run.scores["student"]["semantic"]["miou"] for run in runs])
        ms, score = figures[name]
        fold = "–" if score is None else f"{100 * score:.2f}"
        rows.append([name, f"{ms:.2f}", fold, miou, f"{runs[0].parameters:,}", "; ".join(changes)])
    header = ["student", "INT8 ms", "INT8 mIoU % on the fold", "mIoU % on val, three seeds", "parameters", "changes"]
    if not given.quick:
        write_section("search", f"{table(header, rows)}\n\n{provenance(('optuna', 'onnxruntime', 'torch'))}")
    print(table(header, rows))


if __name__ == "__main__":
    finished(main)
