"""The rule of ``bench compare``: its false alarms and its power on simulated latencies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.bench.compare import compare, differences, resampled_medians, rule
from edgekit.bench.document import timing
from edgekit.errors import EdgekitError


def latencies(rng: np.random.Generator, count: int = 200, median: float = 20.0, memory: float = 0.5) -> np.ndarray:
    """As they come: neighbours alike (AR(1)), 5 % of scatter, every fiftieth run much longer."""
    noise = rng.normal(size=count) * np.sqrt(1 - memory**2)
    for i in range(1, count):
        noise[i] += memory * noise[i - 1]
    series = median * np.exp(0.05 * noise)
    late = rng.random(count) < 0.02
    series[late] *= 1 + rng.exponential(size=late.sum())
    return series


def measurement(**series: np.ndarray) -> dict:
    return {"timings": {name: timing(name, values) for name, values in series.items()}, "marks": []}


def verdicts(slower: float, count: int = 60, runs: int = 200) -> list[str]:
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        a, b = latencies(rng, runs), latencies(rng, runs, 20.0 * slower)
        found.append(compare(measurement(end_to_end=a), measurement(end_to_end=b))[0].verdict)
    return found


def test_the_same_speed_raises_no_alarm():
    found = verdicts(1.0)
    assert found.count("regression") == found.count("improvement") == 0
    assert found.count("same") > 30  # for the others, 200 runs are too few to say so


def test_at_the_least_effect_alarms_are_as_rare_as_stated():
    # B is slower by exactly the 3 % that are allowed: 1 % of alarms is what the rule promises; with 60 trials,
    # four or more would come by chance in less than one case of a thousand at that rate, and of five at 2.5 %.
    assert verdicts(1.03).count("regression") <= 4


def test_a_tenth_slower_is_found():
    assert verdicts(1.10).count("regression") >= 58


def test_a_tenth_faster_is_found():
    assert verdicts(1 / 1.10).count("improvement") >= 58


def test_few_scattered_runs_leave_it_undecided():
    rng = np.random.default_rng(0)
    a, b = (np.exp(rng.normal(3.0, 0.5, 30)) for _ in range(2))
    assert compare(measurement(graph=a), measurement(graph=b))[0].verdict == "undecided"


def test_bounds_cover_the_ratio_and_swap_with_the_sides():
    rng = np.random.default_rng(1)
    a, b = measurement(graph=latencies(rng)), measurement(graph=latencies(rng, median=22.0))
    there, back = compare(a, b)[0], compare(b, a)[0]
    assert there.low < there.ratio < there.high and there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high, rel=0.01)
    assert compare(a, b) == compare(a, b)


def test_more_timings_ask_for_more_confidence():
    rng = np.random.default_rng(2)
    a, b = latencies(rng), latencies(rng)
    alone = compare(measurement(graph=a), measurement(graph=b))[0]
    among = compare(measurement(graph=a, end_to_end=2 * a), measurement(graph=b, end_to_end=2 * b))
    assert [f.timing for f in among] == ["end_to_end", "graph"]
    assert among[1].low < alone.low and among[1].high > alone.high


def test_resampled_medians_against_an_independent_bootstrap():
    values = np.random.default_rng(3).lognormal(size=101)
    blocks = np.array([np.roll(values, -s)[:10] for s in range(101)])
    rng = np.random.default_rng(4)
    expected = [np.median(blocks[rng.integers(0, 101, 11)].ravel()[:101]) for _ in range(4000)]
    found = resampled_medians(values, np.random.default_rng(5), 4000)
    np.testing.assert_allclose(
        np.quantile(found, [0.05, 0.5, 0.95]), np.quantile(expected, [0.05, 0.5, 0.95]), rtol=0.05
    )


def test_neighbours_that_are_alike_widen_the_bounds():
    rng = np.random.default_rng(6)
    alike = latencies(rng, 400, memory=0.95)
    shuffled = rng.permutation(alike)
    spread = [
        np.ptp(np.quantile(resampled_medians(v, np.random.default_rng(0)), [0.01, 0.99])) for v in (alike, shuffled)
    ]
    assert spread[0] > 1.5 * spread[1]


def test_nothing_in_common_is_refused():
    values = np.ones(30)
    with pytest.raises(EdgekitError, match="no timing in common"):
        compare(measurement(graph=values), measurement(compute=values))


def test_other_settings_are_told():
    a = {"timings": {}, "machine": {"processor": "x"}, "subject": {"threads": 1, "size": [544, 960]}, "marks": ["hot"]}
    b = {"timings": {}, "machine": {"processor": "x"}, "subject": {"threads": 2, "size": [272, 480]}, "telemetry": None}
    assert list(differences(a, json.loads(json.dumps(b)))) == [
        "subject size: 544×960 → 272×480",
        "subject threads: 1 → 2",
        "A: hot",
    ]


def test_the_rule_states_its_numbers():
    assert "99%" in rule() and "3%" in rule() and "1.030" in rule() and "0.971" in rule() and "√n" in rule()
    assert "10%" in rule(0.1) and "1.100" in rule(0.1)
