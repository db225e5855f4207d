"""The comparison of steady answers with single ones: where films begin, and what the table says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def steady(benchmark_module):
    return benchmark_module("steady")


class Counting:
    """A stream that answers how many frames it has seen since its film began."""

    def __init__(self):
        self.seen = 0

    def infer(self, frame):
        self.seen += 1
        return {"semantic": np.full((1, 1), self.seen, np.uint8)}

    def reset(self):
        self.seen = 0


def test_a_film_begins_with_another_scene_and_after_a_gap(steady):
    predict = steady.of_films(SimpleNamespace(stream=lambda history: Counting()), 0.5, lambda frame: None)
    frames = [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 6), ("b", 7), ("a", 0)]
    found = [predict(SimpleNamespace(scene=s, index=i), (1, 1))["semantic"][0, 0] for s, i in frames]
    assert found == [1, 2, 3, 1, 2, 1, 2, 1]


def test_the_table_has_a_row_per_answer(steady):
    rows = [
        {"row": steady.ALONE, "score": 0.5, "consistency": 0.91234, "ms": 12.4},
        {"row": "steady, history 0.7", "score": 0.4951, "consistency": 0.95, "ms": 30.0},
    ]
    text = steady.markdown({"films, val (9 frames)": rows})
    assert "| films, val (9 frames) | each frame alone | 50.00 | 91.23 | 12 |" in text
    assert "| films, val (9 frames) | steady, history 0.7 | 49.51 | 95.00 | 30 |" in text
