"""Replaying golden frames: what was exported passes, what answers otherwise does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.load import load
from edgekit.runtime.verify import verify


@pytest.fixture
def folder(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def checks(folder: Path, **options) -> dict:
    opened = open_bundle(folder)
    with load(opened, **options) as predictor:
        return {(c.output, c.measure): c for c in verify(opened, predictor)}


def rewrite_golden(folder: Path, tiny, **changed: np.ndarray) -> None:
    with np.load(folder / "golden.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / "golden.npz", **{**arrays, **changed})
    tiny.rehash(folder)


@pytest.mark.parametrize("options", [{"precision": "fp32"}, {"precision": "int8"}, {"lane": "cache"}])
def test_an_exported_bundle_holds(tiny_bundle, options):
    found = checks(tiny_bundle, **options)
    assert {"semantic_classes", "semantic_confidence", "depth_depth", "normals_normals"} <= {o for o, _ in found}
    assert all(c.holds for c in found.values())
    if "precision" in options:
        assert all((c.value in (0, 1)) == (options["precision"] == "fp32") for c in found.values())


def test_values_are_shares_of_equal_pixels_and_mean_errors(tiny, folder):
    golden = open_bundle(folder).golden()
    classes, depth = golden["semantic_classes"].copy(), golden["depth_depth"] + np.float32(0.25)
    classes[0, :32] = (classes[0, :32] + 1) % 3  # a quarter of all pixels
    rewrite_golden(folder, tiny, semantic_classes=classes, depth_depth=depth)
    found = checks(folder, precision="fp32")
    wrong = found["semantic_classes", "agreement"]
    assert wrong.value == pytest.approx(0.75) and not wrong.holds
    off = found["depth_depth", "error"]
    assert off.value == pytest.approx(0.25, rel=1e-4) and not off.holds
    assert found["normals_normals", "error"].holds


@pytest.mark.parametrize("output", ["depth_depth", "normals_normals"])
@pytest.mark.parametrize(
    ("shift", "mean"),
    [
        (lambda at: np.full(at.shape, 0.5), 0.5),
        (lambda at: np.full(at.shape, -0.5), 0.5),
        (lambda at: np.where(at % 2 == 0, 0.5, -0.5), 0.5),  # errors that would cancel
        (lambda at: np.where(at % 4 == 0, -2.0, 0.0), 0.5),
        (lambda at: np.where(at == 0, 0.5 * at.size, 0.0), 0.5),  # one pixel that is far off
    ],
)
def test_an_error_counts_whichever_way_it_points(tiny, folder, output, shift, mean):
    """The mean of absolute differences; ``at`` numbers the values of the map."""
    reference = open_bundle(folder).golden()[output]
    moved = reference + shift(np.arange(reference.size).reshape(reference.shape)).astype(np.float32)
    rewrite_golden(folder, tiny, **{output: moved})
    found = checks(folder, precision="fp32")[output, "error"]
    assert found.value == pytest.approx(mean, rel=1e-3) and not found.holds


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_difference_that_is_no_finite_number_misses(tiny, folder, value):
    golden = open_bundle(folder).golden()
    rewrite_golden(folder, tiny, depth_depth=np.full_like(golden["depth_depth"], value))
    found = checks(folder, precision="fp32")["depth_depth", "error"]
    assert found.value is None and not found.holds


def test_a_reference_that_is_missing_or_of_another_size(tiny, folder):
    rewrite_golden(folder, tiny, depth_depth=np.zeros((2, 5, 5), np.float32))
    with pytest.raises(EdgekitError, match="the golden reference"):
        checks(folder, precision="fp32")
    np.savez(folder / "golden.npz", frames=open_bundle(folder).golden()["frames"])
    tiny.rehash(folder)
    with pytest.raises(EdgekitError, match="no 'depth_depth'"):
        checks(folder, precision="fp32")


def test_without_a_tolerance_nothing_is_verified(folder):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"onnxruntime/fp32"', '"weak/fp32"'))
    with pytest.raises(EdgekitError, match="no tolerance for onnxruntime/fp32"):
        checks(folder, precision="fp32")
