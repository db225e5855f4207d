"""The table of what INT8 costs, from a manifest."""

from __future__ import annotations

import dataclasses

import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError


@pytest.fixture
def accuracy(benchmark_module):
    return benchmark_module("int8_accuracy")


def test_a_row_per_task_in_the_metrics_own_unit(accuracy, tiny_bundle):
    manifest = open_bundle(tiny_bundle).manifest
    scores = {"semantic": {"miou": 0.5}, "depth": {"absrel": 0.1}, "normals": {"mean_angle": 12.0}}
    worse = {"semantic": {"miou": 0.4875}, "depth": {"absrel": 0.102}, "normals": {"mean_angle": 12.5}}
    manifest = dataclasses.replace(
        manifest,
        metrics={"module": scores, "fp32": scores, "int8": worse},
        provenance={"recipe": "mine", "split": "val", "metric_frames": 7},
    )
    found = {row[2]: row[3:] for row in accuracy.rows(manifest)}
    assert found["semantic: miou %"] == ["50.00", "50.00", "48.75", "-1.25"]
    assert found["depth: absrel"][-1] == "+0.0020" and found["normals: mean_angle"][-1] == "+0.5000"
    assert {row[0] for row in accuracy.rows(manifest)} == {"mine, val (7 frames)"}


def test_a_bundle_without_metrics_is_named(accuracy, tiny_bundle):
    with pytest.raises(EdgekitError, match="no metrics of module, int8"):
        accuracy.rows(open_bundle(tiny_bundle).manifest)
