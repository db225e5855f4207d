"""Summaries against numpy, and percentiles against trtexec's definition worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.statistics import percentile, summarise

LATENCIES = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [
        (10, 90, 9),  # one of ten is left out
        (10, 99, 10),
        (100, 90, 90),
        (100, 95, 95),
        (100, 99, 100),  # (1 − 0.99f) · 100 = 0.99999905 in single precision: none is left out
        (1000, 99, 991),  # 9.9999905: nine are left out
        (250, 99, 248),  # 2.5: two are left out
        (1, 99, 1),
        (7, 0, 1),
        (7, 100, 7),
    ],
)
def test_percentiles_are_trtexec_s(count, percent, rank):
    assert percentile(np.arange(1.0, count + 1), percent) == rank


def test_a_summary_by_hand():
    found = summarise([2.0, 4.0, 3.0, 7.0])
    assert dataclasses.asdict(found) == {
        "count": 4,
        "mean": 4.0,
        "std": pytest.approx((14 / 3) ** 0.5),  # squares 4, 0, 1, 9
        "min": 2.0,
        "p50": 3.5,
        "p90": 7.0,
        "p95": 7.0,
        "p99": 7.0,
        "max": 7.0,
        "jitter": pytest.approx((2 + 1 + 4) / 3),
    }


def test_one_run_has_no_spread():
    found = summarise([5.0])
    assert (found.std, found.jitter, found.p99) == (0.0, 0.0, 5.0)


def test_a_drift_is_no_jitter():
    drift = summarise(np.linspace(10, 20, 1001))
    assert drift.jitter == pytest.approx(0.01) and drift.std > 2


@given(LATENCIES)
def test_order_and_numpy(values):
    found = summarise(values)
    assert found.min <= found.p50 <= found.p90 <= found.p95 <= found.p99 <= found.max
    assert found.mean == pytest.approx(np.mean(values)) and found.p50 == pytest.approx(np.median(values))
    if len(values) > 1:
        assert found.std == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    # Every percentile is one of the values, and at most its share of them lies above it.
    for percent, value in ((90, found.p90), (95, found.p95), (99, found.p99)):
        assert value in values
        assert np.mean(np.array(values) > value) <= 1 - percent / 100 + 1e-6


@pytest.mark.parametrize("samples", [[], [[1.0, 2.0]], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_series_is_refused(samples):
    with pytest.raises(ValueError, match="latencies"):
        summarise(samples)
