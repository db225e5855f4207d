"""The candidates of a search, best first."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgekit.search.command import _points


def candidate(number: int, score: float, ms: float, memory: int, parameters: int) -> SimpleNamespace:
    cost = {"ms": ms, "memory": memory, "parameters": parameters}
    about = {"cost": cost, "values": {}}
    return SimpleNamespace(
        number=number, value=score, user_attrs=about, params={}, state=SimpleNamespace(name="COMPLETE")
    )


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("more", [(200, 10), (100, 20)])
def test_the_best_is_of_the_front_where_score_and_latency_are_equal(higher, more):
    """It is the one whose run is shown."""
    trials = [candidate(0, 0.5, 4.0, *more), candidate(1, 0.5, 4.0, 100, 10), candidate(2, 0.5, 5.0, 100, 10)]
    found = _points(SimpleNamespace(get_trials=lambda deepcopy: trials), None, higher)
    assert found["best"] == 1 and [point["front"] for point in found["points"]] == [True, False, False]
    assert [point["number"] for point in found["points"]] == [1, 0, 2]
