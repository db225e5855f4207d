"""Is B slower than A? By a rule that is stated, with a known rate of false alarms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgekit.bench.document import read_measurements
from edgekit.errors import EdgekitError

LEAST_EFFECT = 0.03
CONFIDENCE = 0.99
RESAMPLES = 2000
LEAST_SAMPLES = 30
LEAST_MS = 1e-9  # a clock's tick is longer
COMPARED = ("end_to_end", "graph", "latency", "compute")
"""The timings that are compared, where both sides have them; the others are parts of these."""

Verdict = Literal["regression", "improvement", "same", "undecided"]

RULE = (
    "Rule: the ratio of the medians, B to A, with a one-sided {confidence:.0%} bound on either side, shared among the "
    "timings that are compared (Bonferroni). The bounds come from a circular block bootstrap of {resamples} resamples "
    "with blocks of √n consecutive runs, since neighbouring runs resemble each other. Regression: the lower bound is "
    "above {slower:.3f}, so B is slower by more than {effect:.0%} beyond what the scatter of the runs explains. "
    "Improvement: the upper bound is below {faster:.3f}. Same: both bounds lie between. Undecided: neither; measure "
    "longer. One measurement of each cannot show how timings vary from one start of a program to the next: the "
    "{effect:.0%} allow for that."
)


def rule(effect: float = LEAST_EFFECT, confidence: float = CONFIDENCE) -> str:
    """The rule in words and numbers, for output and documentation."""
    return RULE.format(
        confidence=confidence, resamples=RESAMPLES, effect=effect, slower=1 + effect, faster=1 / (1 + effect)
    )


@dataclass(frozen=True)
class TimingComparison:
    """One timing of A beside that of B. ``a``, ``b``: medians in ms; ``low``, ``high``: bounds of ``ratio`` = b / a."""

    timing: str
    a: float
    b: float
    ratio: float
    low: float
    high: float
    verdict: Verdict


def compare(
    a: Mapping[str, Any], b: Mapping[str, Any], *, effect: float = LEAST_EFFECT, where: str = "the two measurements"
) -> list[TimingComparison]:
    """Two measurements (see ``document``), timing by timing; ``where`` is what an error names.

    EdgekitError where they have no timing in common, or one with fewer than thirty runs.
    """
    names = [n for n in COMPARED if n in a["timings"] and n in b["timings"]]
    if not names:
        raise EdgekitError(
            "the two measurements have no timing in common", where=where, fix="measure both with one backend"
        )
    fewest = min(len(side["timings"][n]["samples_ms"]) for side in (a, b) for n in names)
    if fewest < LEAST_SAMPLES:
        what = f"{fewest} runs are too few to compare, at least {LEAST_SAMPLES} are needed"
        raise EdgekitError(what, where=where, fix="measure again with --runs 100")
    if not all(np.median(side["timings"][n]["samples_ms"]) > LEAST_MS for side in (a, b) for n in names):
        raise EdgekitError("a timing of no length cannot be compared", where=where, fix="measure again")
    confidence = 1 - (1 - CONFIDENCE) / len(names)
    return [
        _find(name, a["timings"][name]["samples_ms"], b["timings"][name]["samples_ms"], effect, confidence)
        for name in names
    ]


def _find(timing: str, a: Sequence[float], b: Sequence[float], effect: float, confidence: float) -> TimingComparison:
    rng = np.random.default_rng(0)  # the same files give the same answer
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    ratio = float(np.median(b) / np.median(a))
    ratios = np.log(resampled_medians(b, rng)) - np.log(resampled_medians(a, rng))
    low, high = (float(v) for v in np.exp(np.quantile(ratios, [1 - confidence, confidence])))
    return TimingComparison(
        timing, float(np.median(a)), float(np.median(b)), ratio, low, high, _verdict(low, high, effect)
    )


def _verdict(low: float, high: float, effect: float) -> Verdict:
    slower, faster = 1 + effect, 1 / (1 + effect)
    if low > slower:
        return "regression"
    if high < faster:
        return "improvement"
    return "same" if faster < low and high < slower else "undecided"


def resampled_medians(values: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Medians (resamples,) of series drawn from ``values`` in blocks of √n neighbours, its end joined to its start.

    Politis & Romano, A circular block-resampling procedure for stationary data, 1992.
    """
    n = len(values)
    block = max(1, math.isqrt(n))
    blocks = -(-n // block)
    medians = np.empty(resamples)
    step = max(1, 2_000_000 // n)  # resamples at a time: tens of megabytes, however long the series
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        starts = rng.integers(0, n, (count, blocks, 1))
        drawn = ((starts + np.arange(block)) % n).reshape(count, -1)[:, :n]
        medians[first : first + count] = np.median(values[drawn], axis=1)
    return medians


MUST_MATCH = (
    ("machine", "processor"),
    ("machine", "board"),
    ("machine", "usable_cores"),
    ("subject", "student"),
    ("subject", "size"),
    ("subject", "batch"),
    ("subject", "precision"),
    ("subject", "lane"),
    ("subject", "backend"),
    ("subject", "runtime"),
    ("subject", "threads"),
    ("telemetry", "power_mode"),
    ("telemetry", "clocks_locked"),
)


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """What else differs between the two, one line each: it may explain the difference in time."""
    for part, key in MUST_MATCH:
        left, right = ((side.get(part) or {}).get(key) for side in (a, b))
        if left != right:
            yield f"{part} {key.replace('_', ' ')}: {_say(left)} → {_say(right)}"
    for side, name in ((a, "A"), (b, "B")):
        for mark in side.get("marks", ()):
            yield f"{name}: {mark}"


def _say(value: Any) -> str:
    if isinstance(value, list):
        return "×".join(map(str, value))
    return "unknown" if value is None else str(value)


def compare_files(a: Path, b: Path, *, effect: float = LEAST_EFFECT) -> dict[str, Any]:
    """Two files of measurements, ready for JSON: {rule, pairs: [{label, findings, differences}], only_in_a, only_in_b,
    regressions}.

    Files with one measurement each are compared whatever was measured; suites row by row. EdgekitError where a file
    is not a measurement, a timing has fewer than thirty runs, or the files have no row in common.
    """
    left, right = read_measurements(a), read_measurements(b)
    if len(left) == len(right) == 1:
        (label_a,), (label_b,) = left, right
        pairs = [(label_a if label_a == label_b else f"{label_a} → {label_b}", left[label_a], right[label_b])]
        only_a = only_b = []
    else:
        pairs = [(label, left[label], right[label]) for label in left if label in right]
        only_a, only_b = ([k for k in x if k not in y] for x, y in ((left, right), (right, left)))
    found = [
        {
            "label": label,
            "findings": [asdict(f) for f in compare(one, other, effect=effect, where=f"{a} and {b}")],
            "differences": list(differences(one, other)),
        }
        for label, one, other in pairs
    ]
    if not found:
        raise EdgekitError("the two files have no row in common", where=f"{a} and {b}", fix="compare runs of one suite")
    verdicts = [finding["verdict"] for pair in found for finding in pair["findings"]]
    return {
        "a": str(a),
        "b": str(b),
        "rule": rule(effect),
        "pairs": found,
        "only_in_a": only_a,
        "only_in_b": only_b,
        "regressions": verdicts.count("regression"),
    }
