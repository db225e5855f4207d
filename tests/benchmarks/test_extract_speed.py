"""The benchmark of extraction: its commands run, and its verdicts are those of its figures."""

from __future__ import annotations

import math

import pytest

FOUND = {
    **{"frames": 12_000, "first_ms_per_frame": 20.0, "again_ms_per_frame": 0.9, "status_seconds": 3.0},
    **{"quarter_mib": 200.0, "mib": 215.0},
    **{"shard_frames": 128, "one_seconds": 34.0, "two_seconds": 20.0, "ratio": 1.7},
}


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, None),
        ({"again_ms_per_frame": 1.01}, "bookkeeping of at most 1 ms"),
        ({"mib": 230.0}, "four times the frames take +15% of memory"),
        ({"status_seconds": 11.0}, "status in at most 10 s"),
        ({"ratio": 1.69}, "two processes 1.69 times one"),
    ],
)
def test_verdicts(benchmark_module, change, failing):
    lines = [line for line in benchmark_module("extract_speed").markdown(FOUND | change).splitlines() if "hold" in line]
    assert len(lines) == 4
    assert [line for line in lines if "**does not hold**" in line] == [
        line for line in lines if failing and failing in line
    ]
    assert bool(failing) == any("**does not hold**" in line for line in lines)


@pytest.mark.slow
def test_a_small_film(benchmark_module):
    module = benchmark_module("extract_speed")
    found = module.bookkeeping(16) | module.sharing(4)
    assert found.keys() == FOUND.keys()
    slope = found.pop("again_ms_per_frame")  # of times that differ by less than chance: of either sign
    assert math.isfinite(slope) and min(found.values()) > 0
    assert found["ratio"] == pytest.approx(found["one_seconds"] / found["two_seconds"])
