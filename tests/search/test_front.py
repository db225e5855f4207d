"""The front against its definition, pair by pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.search.front import front


@given(st.integers(1, 4).flatmap(lambda m: st.lists(st.tuples(*[st.integers(0, 4)] * m), min_size=1, max_size=20)))
def test_front_is_what_nothing_dominates(points):
    def dominates(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))

    assert front(points) == [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def test_equal_points_are_all_of_it():
    assert front([(1.0, 2.0), (2.0, 1.0), (1.0, 2.0), (2.0, 2.0)]) == [0, 1, 2]
