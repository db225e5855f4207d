from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from edgekit.data.scenes.experts import relative_depth

SIZE = (80, 144)  # of the shared frames


@pytest.mark.parametrize("name", ["simulated_segmentation_a", "simulated_segmentation_b"])
def test_segmentation_is_useful_but_wrong_in_places(pair, name):
    said, true = pair.now[name], pair.now["semantic"]
    assert said.max() < 8
    assert 0.55 < (said == true).mean() < 0.93


def test_the_two_experts_err_differently(pair):
    """Together they know more than either: where one is wrong, the other is right on a good share of the pixels."""
    true = pair.now["semantic"]
    wrong_a, wrong_b = (pair.now[f"simulated_segmentation_{k}"] != true for k in "ab")
    assert (~wrong_b)[wrong_a].mean() > 0.2
    assert (~wrong_a)[wrong_b].mean() > 0.2


@pytest.mark.parametrize("name", ["simulated_segmentation_a", "simulated_segmentation_b"])
def test_errors_stay_with_the_place(pair, name):
    """A pixel that is wrong now is mostly wrong where it is seen in the next frame: errors are not noise."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    u, v = np.round(x + pair.now["flow"][..., 0]).astype(int), np.round(y + pair.now["flow"][..., 1]).astype(int)
    inside = (u >= 0) & (u < SIZE[1]) & (v >= 0) & (v < SIZE[0])
    wrong, later = pair.now[name] != pair.now["semantic"], pair.later[name] != pair.later["semantic"]
    later = later[v[inside], u[inside]]
    assert later[wrong[inside]].mean() > 2.0 * later[~wrong[inside]].mean()


def test_relative_depth_orders_pixels_but_is_not_exact(pair):
    depth, said = pair.now["depth"], pair.now["simulated_depth"]
    hit = np.isfinite(depth)
    assert np.isfinite(said).all() and said.min() >= 0 and said.max() <= 1
    assert 0.85 < spearmanr(depth[hit], said[hit]).statistic < 0.999


def test_relative_depth_calls_the_sky_far():
    depth = np.full((64, 96), 40.0, np.float32)
    depth[:32] = np.nan
    said = relative_depth(np.random.default_rng(0), depth, 5.0, 700.0)
    assert said[:24].min() > 0.95 and said[40:].max() < 0.75
