"""Observers against brute force and formulas: every line of the table, then each by its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.quantize.histogram import BINS, Histogram, Tally
from edgekit.quantize.observers import OBSERVERS
from edgekit.quantize.observers.entropy import Entropy, best_bin_count
from edgekit.quantize.observers.mse import MSE
from edgekit.quantize.observers.percentile import Percentile


def seen(values: np.ndarray) -> Histogram:
    tally = Tally(counting=True)
    tally.add(np.asarray(values, np.float32))
    return tally.result()


def heavy(count: int = 20_000, seed: int = 0) -> np.ndarray:
    """Values with a long tail, as activations have it."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(count) * np.exp(rng.standard_normal(count))).astype(np.float32)


@pytest.mark.parametrize("name", OBSERVERS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_every_observer_stays_inside_what_it_saw(name, scale):
    values = heavy() * np.float32(scale)
    threshold = OBSERVERS[name]().threshold(seen(values))
    assert 0 < threshold <= np.abs(values).max()
    relu = seen(np.maximum(values, 0))
    lo, hi = relu.clipped(OBSERVERS[name]().threshold(relu))
    assert lo == 0 and 0 < hi <= values.max()


@pytest.mark.parametrize("name", OBSERVERS)
def test_every_observer_takes_a_constant(name):
    assert OBSERVERS[name]().threshold(seen(np.full(100, -3.0))) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("name", OBSERVERS)
def test_every_observer_scales_with_its_values(name):
    """A power of two moves no value to another bin."""
    one, eight = (OBSERVERS[name]().threshold(seen(heavy() * np.float32(k))) for k in (1, 8))
    assert eight == pytest.approx(8 * one, rel=1e-6)


def test_minmax_takes_everything():
    histogram = seen(np.array([-3.0, 5.0, 1.0]))
    assert OBSERVERS["minmax"]().threshold(histogram) == 5.0
    assert histogram.clipped(5.0) == (-3.0, 5.0)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99, 99.999])
def test_percentile_is_the_order_statistic(percentile):
    values = heavy(200_000)
    ordered = np.sort(np.abs(values))
    exact = ordered[int(np.ceil(len(ordered) * percentile / 100)) - 1]
    histogram = seen(values)
    assert Percentile(percentile).threshold(histogram) == pytest.approx(exact, abs=1.01 * histogram.width)


def test_an_odd_percentile_is_refused():
    with pytest.raises(EdgekitError, match=r"percentile 0\.999 "):
        Percentile(0.999)


def brute_force_kl(counts: np.ndarray, outliers: int) -> int:
    """The method as NVIDIA's code states it, candidate by candidate, bin by bin."""
    counts = [float(c) for c in counts]
    counts[0] = counts[1]
    best, chosen = np.inf, len(counts)
    for i in range(128, len(counts) + 1):
        edges = np.linspace(0, i, 129)
        p = counts[:i]
        q = [0.0] * i
        for group in range(128):
            members = [j for j in range(i) if edges[group] <= j < edges[group + 1] and p[j] > 0]
            for j in members:
                q[j] = sum(p[k] for k in members) / len(members)
        p = [*p[:-1], p[-1] + sum(counts[i:]) + outliers]
        if sum(q) == 0 or any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
            continue
        kl = sum(a / sum(p) * np.log((a / sum(p)) / (b / sum(q))) for a, b in zip(p, q, strict=True) if a > 0)
        if kl <= best + 1e-12:
            best, chosen = min(kl, best), i
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("outliers", [0, 25])
def test_entropy_finds_what_brute_force_finds(seed, outliers):
    rng = np.random.default_rng(seed)
    counts = np.histogram(np.abs(rng.standard_normal(3000) * np.exp(rng.standard_normal(3000))), 300)[0]
    assert best_bin_count(counts, outliers) == brute_force_kl(counts, outliers)


@given(st.lists(st.integers(0, 40), min_size=130, max_size=150), st.integers(0, 10))
@settings(max_examples=15)
def test_entropy_finds_what_brute_force_finds_in_any_histogram(counts, outliers):
    counts[1] = max(counts[1], 1)
    assert best_bin_count(np.array(counts), outliers) == brute_force_kl(np.array(counts), outliers)


def test_entropy_clips_a_tail_and_keeps_what_fits():
    rng = np.random.default_rng(0)
    body = rng.uniform(0, 1, 200_000).astype(np.float32)
    assert Entropy().threshold(seen(body)) == pytest.approx(1.0, rel=0.02)
    assert Entropy().threshold(seen(np.append(body, np.float32(8.0)))) < 1.5


def test_mse_is_the_grid_search_over_the_values_themselves():
    values = heavy(50_000)
    most = np.abs(values).max()
    grid = np.arange(1, 257) * (most / 256)

    def error(t: float) -> float:
        steps = np.clip(np.round(values.astype(np.float64) / (t / 127)), -127, 127)
        return float(np.mean((values - steps * (t / 127)) ** 2))

    found = MSE().threshold(seen(values))
    assert error(found) <= min(error(t) for t in grid) * 1.01  # a histogram knows values to the width of a bin


@given(st.permutations(range(6)), st.integers(1, 3))
@settings(max_examples=20)
def test_the_order_of_frames_does_not_matter(order, pieces):
    """Bins that grow give what bins of that width from the start give."""
    values = [heavy(500, seed) * np.float32(4.0**seed) for seed in range(6)]
    tally = Tally(counting=True)
    for k in order:
        for part in np.array_split(values[k], pieces):
            tally.add(part)
    together = np.abs(np.concatenate(values))
    result = tally.result()
    expected, _ = np.histogram(together.astype(np.float64), BINS, (0, result.reach))
    assert result.reach / 2 <= together.max() < result.reach
    np.testing.assert_array_equal(result.counts, expected)
    assert (result.lowest, result.highest) == (np.concatenate(values).min(), np.concatenate(values).max())


def test_zoomed_in_nothing_is_lost():
    values = np.append(heavy(5000), np.float32([900.0, -1000.0]))
    wide = seen(values)
    near = Tally(counting=True, reach=4.0)
    near.add(values)
    zoomed = near.result(beyond=wide)
    assert zoomed.counts.sum() + zoomed.beyond[1].sum() == values.size
    assert zoomed.counts.sum() == (np.abs(values) < 4).sum()
    assert zoomed.largest == 1000.0


def test_values_that_are_not_finite_are_noticed():
    tally = Tally(counting=True)
    tally.add(np.float32([1, np.nan]))
    assert not tally.finite
