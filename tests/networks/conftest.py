"""Every network family as a parameter of a test."""

from __future__ import annotations

import importlib.util

import pytest

from edgekit.networks import FAMILIES


def family_parameters() -> list:
    """Every network family; timm's is skipped where that extra is not installed."""
    absent = importlib.util.find_spec("timm") is None
    skip = pytest.mark.skipif(absent, reason="timm is not installed (edgekit[timm])")
    return [pytest.param(name, marks=[skip] if name == "timm" else []) for name in FAMILIES]


@pytest.fixture(params=family_parameters())
def family(request: pytest.FixtureRequest) -> str:
    return request.param
