"""A bundle's files by each runtime for CPUs, in turns: what a frame takes, beside onnxruntime.

    python benchmarks/cpu_runtimes.py bundles/uav-cpu [--threads 1] [--rounds 12] [--frames 15] [--write]

All are open in one process and take turns, a few frames each, in an order that moves on every round. Processor time is
counted beside the clock's: it is what a frame costs where other work has the cores too.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
from results import provenance, table, write_section

from edgekit.bundle.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.load import load
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.verify import verify

SECTION = "Runtimes on a CPU"
BACKENDS = ("onnxruntime", "openvino")
PRECISIONS = ("fp32", "int8")
Key = tuple[str, str]
"""Precision and backend."""


def timed(predictor: Predictor, frames: np.ndarray, count: int) -> tuple[float, float]:
    """Median milliseconds of a frame by the clock, and mean milliseconds of the processor."""
    predictor.infer(frames[0])  # wakes caches and threads
    taken, worked = [], time.process_time()
    for number in range(count):
        began = time.perf_counter()
        predictor.infer(frames[number % len(frames)])
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken), 1000 * (time.process_time() - worked) / count


def measured(predictors: dict[Key, Predictor], frames: np.ndarray, rounds: int, count: int) -> dict[Key, np.ndarray]:
    """(rounds, 2) of ``timed`` for each."""
    keys = list(predictors)
    found: dict[Key, list[tuple[float, float]]] = {key: [] for key in keys}
    for number in range(rounds):
        start = number % len(keys)
        for key in keys[start:] + keys[:start]:
            found[key].append(timed(predictors[key], frames, count))
    return {key: np.array(rows) for key, rows in found.items()}


def rows(bundle: Bundle, predictors: dict[Key, Predictor], found: dict[Key, np.ndarray]) -> list[list[str]]:
    lines = []
    for (precision, backend), taken in found.items():
        wall, worked = np.median(taken, axis=0)
        ratios = np.median(found[precision, BACKENDS[0]] / taken, axis=0)
        predictor = predictors[precision, backend]
        holds = all(check.holds for check in verify(bundle, predictor))
        words = [f"{wall:.1f}", f"{worked:.1f}", f"{ratios[0]:.2f}", f"{ratios[1]:.2f}", "yes" if holds else "no"]
        lines.append([precision, predictor.describe()["runtime"], *words])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=1, help="default 1")
    parser.add_argument("--rounds", type=int, default=12, help="default 12")
    parser.add_argument("--frames", type=int, default=15, help="per round and runtime (default 15)")
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    given = parser.parse_args()
    bundle = open_bundle(given.bundle)
    frames = bundle.golden(["frames"])["frames"]
    predictors = {(p, b): load(bundle, b, p, given.threads) for p in PRECISIONS for b in BACKENDS}
    found = measured(predictors, frames, given.rounds, given.frames)
    header = ["file", "runtime", "ms", "processor ms", "× as fast", "by the processor", "golden frames hold"]
    student, size = bundle.manifest.student, bundle.manifest.preprocessing.size
    lines = [
        provenance(),
        "",
        f"Student {student.name}, {student.parameters:,} parameters; {size[0]}×{size[1]}, batch 1, every output; "
        f"{given.threads} thread(s), {given.rounds} rounds of {given.frames} frames, runtimes in turn. ×: beside "
        "onnxruntime with the same file, median over rounds. A load above the number of cores is other work beside it: "
        "then the ratios count, and not the times.",
        "",
        table(header, rows(bundle, predictors, found), left=2),
    ]
    print("\n".join(lines))
    if given.write:
        write_section(SECTION, "\n".join(lines))


if __name__ == "__main__":
    try:
        main()
    except EdgekitError as error:
        sys.exit(str(error))
