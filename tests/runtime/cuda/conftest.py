"""The fake CUDA, and a device on it that must leave nothing behind."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def cuda(fake_gpu):
    """The fake ``pycuda.driver``; the test fails where something of it is left unfreed."""
    driver = importlib.import_module("pycuda.driver")
    yield driver
    assert set(driver.live().values()) == {0}, f"left unfreed: {driver.live()}"


@pytest.fixture
def device(cuda):
    from edgekit.runtime.cuda.device import Device

    with Device() as opened:
        yield opened


@pytest.fixture
def libcuda(monkeypatch):
    """The fake driver library under the graph module; the test fails where a graph is left."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fakes"))
    module = importlib.import_module("libcuda")
    library = module.FakeLibcuda()
    monkeypatch.setattr("edgekit.runtime.cuda.driver_graph.driver_library", lambda: library)
    yield library
    assert library.graphs == {}
    sys.modules.pop("libcuda")
