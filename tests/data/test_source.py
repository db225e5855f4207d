"""What all sources share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.source import FrameInfo, spread_out


@given(st.integers(1, 50), st.integers(0, 60))
def test_frames_are_spread_over_the_split(length, count):
    infos = [FrameInfo(str(i), "s", i, "val", True) for i in range(length)]
    chosen = [f.index for f in spread_out(infos, count)]
    assert len(chosen) == min(length, count) and chosen == sorted(set(chosen))
    if len(chosen) > 1:
        assert chosen[0] == 0 and chosen[-1] == length - 1
        steps = np.diff(chosen)
        assert steps.max() - steps.min() <= 1
