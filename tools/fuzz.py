"""Mutated inputs of every kind against the commands that read them: each in a child, bounded and watched.

    python -m tools.fuzz --seed 0 --cases 300
    python -m tools.fuzz --seed 0 --case 17 --what onnx      # one case again, its folder kept

A case fails where it ends in a traceback, a signal or an exit code that is not 0, 1 or 2; takes over 20 s or 2 GB;
prints a control character; refuses without saying where and what to do; or touches a file outside its folder or starts
a program. Exit code 1 where one fails. SIGTERM and Ctrl-C end it early, with the figures of what ran.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.fuzzing import bases, sandbox
from tools.fuzzing.kinds import KINDS

WEIGHTS = {"runs": 0.3, "students": 0.7, "images": 1.2}
"""How often a kind comes, beside 1: the slow ones less."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--case", type=int, help="only this one; its folder is kept, what it printed is shown")
    parser.add_argument("--what", choices=sorted(KINDS), action="append", help="repeatable; default: all")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args(arguments)
    what = asked.what or list(KINDS)
    root = Path(tempfile.mkdtemp(prefix="edgekit-fuzz-"))
    try:
        return _one(root, asked, what) if asked.case is not None else _many(root, asked, what)
    finally:
        if asked.case is None:
            shutil.rmtree(root, ignore_errors=True)


def _prepare(root: Path, what: set[str]) -> Path:
    """The bases, made in a child so that this process starts no threads; what all cases import is imported once."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sandbox.import_everything()
    made = sandbox.run(root / "bases", lambda box, outside: lambda: bases.build(box, what) or 0, seconds=600)
    if made.code != 0:
        raise SystemExit(f"the bases could not be made:\n{made.err[-3000:]}")
    return root / "bases" / "box"


def _draw(seed: int, case: int, what: list[str]) -> tuple[str, random.Random]:
    rng = random.Random(f"{seed}-{case}")
    return rng.choices(what, [WEIGHTS.get(kind, 1.0) for kind in what])[0], rng


def _start(root: Path, base: Path, seed: int, case: int, what: list[str]) -> tuple[str, sandbox.Child]:
    kind, rng = _draw(seed, case, what)
    act = lambda box, outside: KINDS[kind](rng, base, box, outside)  # noqa: E731
    # a run names the folder of its data, which is that of the bases
    return kind, sandbox.Child(root / f"case-{case}", act, within=base if kind == "runs" else None)


def _one(root: Path, asked: argparse.Namespace, what: list[str]) -> int:
    base = _prepare(root, {_draw(asked.seed, asked.case, what)[0]})
    kind, child = _start(root, base, asked.seed, asked.case, what)
    while (outcome := child.poll()) is None:
        time.sleep(0.01)
    print(outcome.out, outcome.err, sep="\n")
    wrong = sandbox.judge(outcome)
    print(f"{kind}: exit code {outcome.code} after {outcome.seconds:.1f} s, {outcome.megabytes} MB; {wrong or 'fine'}")
    print(f"its folder: {child.folder}")
    return int(wrong is not None)


def _many(root: Path, asked: argparse.Namespace, what: list[str]) -> int:
    base = _prepare(root, {_draw(asked.seed, case, what)[0] for case in range(asked.cases)})
    began, waiting, running = time.monotonic(), list(range(asked.cases)), {}
    faults: dict[str, list[int]] = {}
    kinds, codes, refusals, slowest, largest, cpu = Counter(), Counter(), Counter(), (0.0, 0), (0, 0), 0.0
    stopped = []
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stopped.append(True))
    while (waiting and not stopped) or running:
        while waiting and not stopped and len(running) < asked.jobs:
            case = waiting.pop(0)
            running[case] = _start(root, base, asked.seed, case, what)
        ended = {case: outcome for case, (_, child) in running.items() if (outcome := child.poll()) is not None}
        for case, outcome in ended.items():
            kind, child = running.pop(case)
            kinds[kind] += 1
            codes[outcome.code] += 1
            cpu += outcome.cpu
            slowest, largest = max(slowest, (outcome.seconds, case)), max(largest, (outcome.megabytes, case))
            if wrong := sandbox.judge(outcome):
                faults.setdefault(f"{kind}: {wrong}", []).append(case)
                print(f"FAIL {kind}: {wrong}\n     again: {_again(asked, case)}", flush=True)
            elif outcome.code == 2:
                refusals["all"] += 1
                refusals["where"] += "  where: " in outcome.err or '"where": "' in outcome.out
                refusals["fix"] += "  fix:   " in outcome.err or '"fix": "' in outcome.out
            shutil.rmtree(child.folder, ignore_errors=True)
        time.sleep(0.01)
    print(
        f"{sum(codes.values())} cases of seed {asked.seed} in {time.monotonic() - began:.0f} s, {cpu:.0f} computing: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    )
    print(
        f"exit codes {dict(codes)}; slowest {slowest[0]:.1f} s (case {slowest[1]}), "
        f"largest {largest[0]} MB ({largest[1]})"
    )
    print(f"refusals {refusals['all']}, of which say where {refusals['where']}, what to do {refusals['fix']}")
    print(f"{sum(map(len, faults.values()))} cases fail, of {len(faults)} sorts")
    for fault, cases in sorted(faults.items(), key=lambda entry: -len(entry[1])):
        print(f"  {len(cases):4}  {fault}  (e.g. case {cases[0]})")
    return int(bool(faults))


def _again(asked: argparse.Namespace, case: int) -> str:
    kinds = "".join(f" --what {kind}" for kind in asked.what or ())
    return f"python -m tools.fuzz --seed {asked.seed} --case {case}{kinds}"


if __name__ == "__main__":
    sys.exit(main())
