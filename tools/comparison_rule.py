"""How often the rule of `edgekit bench compare` is wrong, on simulated latencies: the figures in docs/measuring.md.

    python tools/comparison_rule.py [--trials 200]

Latencies scatter by 5 % around their median, neighbours correlate (AR(1)), one run in fifty takes much longer.
"""

from __future__ import annotations

import argparse

import numpy as np

from edgekit.bench.compare import compare


def latencies(rng: np.random.Generator, count: int, correlation: float, median: float) -> np.ndarray:
    noise = rng.normal(size=count) * np.sqrt(1 - correlation**2)
    noise[0] /= np.sqrt(1 - correlation**2)
    for i in range(1, count):
        noise[i] += correlation * noise[i - 1]
    series = median * np.exp(0.05 * noise)
    late = rng.random(count) < 0.02
    series[late] *= 1 + rng.exponential(size=late.sum())
    return series


def regressions(slower: float, count: int, correlation: float, trials: int) -> float:
    """The share of trials in which B, ``slower`` times A's median, is called a regression."""
    found = 0
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        a, b = (latencies(rng, count, correlation, median) for median in (20.0, 20.0 * slower))
        measured = [{"timings": {"end_to_end": {"samples_ms": series}}} for series in (a, b)]
        found += compare(*measured)[0].verdict == "regression"
    return found / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=200, help="default 200")
    trials = parser.parse_args().trials
    print(f"share of {trials} trials in which B is called a regression\n")
    print("| runs | correlation | as fast % | 3 % slower % | 10 % slower % |\n|--:|--:|--:|--:|--:|")
    for count in (100, 300, 1000):
        for correlation in (0.0, 0.5, 0.9):
            shares = [100 * regressions(slower, count, correlation, trials) for slower in (1.0, 1.03, 1.1)]
            print(f"| {count} | {correlation} | " + " | ".join(f"{s:.1f}" for s in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
