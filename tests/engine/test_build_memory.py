"""How much memory a build may use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.engine.memory import MIB, limits
from edgekit.errors import EdgekitError


@given(st.integers(700, 200_000), st.integers(700, 200_000))
def test_limits_fit_what_is_free(gpu, system):
    found = limits(gpu * MIB, system * MIB)
    assert 0 < found.workspace <= found.tactics < min(gpu, system) * MIB


def test_an_orin_nano_of_4_gb_is_not_filled():
    found = limits(2600 * MIB, 2500 * MIB)
    assert found.workspace < 600 * MIB and found.tactics < 1100 * MIB


def test_on_a_jetson_cached_files_count_as_free():
    """CUDA says 300 MiB are free after a large file was read; the kernel gives the rest back when asked."""
    found = limits(300 * MIB, 5000 * MIB, shared=True)
    assert found.workspace > 500 * MIB and found.tactics < 5000 * MIB
    with pytest.raises(EdgekitError, match="300 MiB are free"):
        limits(300 * MIB, 5000 * MIB)  # a card has nothing but its own
    with pytest.raises(EdgekitError, match="600 MiB are free"):
        limits(8000 * MIB, 600 * MIB, shared=True)
    assert limits(4096 * MIB, None, shared=True) == limits(4096 * MIB, None)


def test_the_users_workspace_is_taken_where_it_fits():
    assert limits(4096 * MIB, None, 2048 * MIB).workspace == 2048 * MIB
    with pytest.raises(EdgekitError, match="a workspace of 5000 MiB does not fit: 4096 MiB are free") as raised:
        limits(4096 * MIB, None, 5000 * MIB)
    assert "3712" in raised.value.fix


def test_too_little_for_any_build():
    with pytest.raises(EdgekitError, match="too little memory to build: 500 MiB are free, 640 MiB are needed"):
        limits(8192 * MIB, 500 * MIB)
