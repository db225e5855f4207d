"""Which frames are chosen for calibration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.quantize.frames import spread


@dataclass(frozen=True)
class Frame:
    scene: str
    index: int


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 120))
def test_scenes_share_equally(sizes, count):
    frames = [Frame(f"s{s}", i) for s, size in enumerate(sizes) for i in range(size)]
    chosen = spread(frames, count)
    assert len(chosen) == min(count, len(frames)) == len(set(chosen))
    assert chosen == sorted(chosen, key=frames.index)
    taken = Counter(f.scene for f in chosen)
    # A scene that has frames left has at most one less than any other scene.
    for s, size in enumerate(sizes):
        if taken[f"s{s}"] < size:
            assert taken[f"s{s}"] >= max(taken.values()) - 1


def test_inside_a_scene_they_are_evenly_spaced():
    assert [f.index for f in spread([Frame("a", i) for i in range(10)], 5)] == [1, 3, 5, 7, 9]


def test_data_is_never_made_up():
    with pytest.raises(EdgekitError, match="no frames"):
        spread([], 300)
