from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from edgekit.data.scenes.experts import metric_depth, surface_normals

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


def test_the_depth_expert_is_in_metres_and_wrong_by_a_tenth(pair):
    depth, said = pair.now["depth"], pair.now["simulated_depth"]
    hit = np.isfinite(depth)
    assert np.isfinite(said).all() and said.min() >= 5 and said.max() <= 700
    assert 0.85 < spearmanr(depth[hit], said[hit]).statistic < 0.9999
    assert 0.02 < np.mean(np.abs(said - depth)[hit] / depth[hit]) < 0.25


def test_the_depth_expert_calls_the_sky_far_and_errs_by_frame():
    depth = np.full((64, 96), 40.0, np.float32)
    depth[:32] = np.nan
    said = np.stack([metric_depth(np.random.default_rng(seed), depth, 5.0, 700.0) for seed in range(200)])
    assert said[:, :24].min() > 500
    ground = said[:, 44:]
    assert ground.max() < 80 and ground.min() > 20
    relative = np.abs(ground / 40 - 1).mean()
    assert 0.05 < relative < 0.15, "as its docstring says"
    assert np.abs(ground.mean(axis=(1, 2)) / 40 - 1).mean() > 0.03, "a scale and shift of the frame's own"


def test_the_normals_expert_is_unit_everywhere_and_imperfect(pair):
    """Nearer to the truth than its best constant is, and not near."""
    truth, said = pair.now["normals"], pair.now["simulated_normals"]
    hit = np.isfinite(truth[..., 0])
    np.testing.assert_allclose(np.linalg.norm(said, axis=-1), 1, atol=1e-3)
    mean = truth[hit].mean(axis=0)
    constant, expert = (
        np.degrees(np.arccos(np.clip((truth[hit] * other).sum(axis=-1), -1, 1))).mean()
        for other in (mean / np.linalg.norm(mean), said[hit])
    )
    assert 10 < expert < 0.9 * constant


def test_the_normals_expert_turns_little_on_a_plane():
    normals = np.broadcast_to(np.float32([0.6, 0.0, -0.8]), (64, 96, 3)).copy()
    normals[:8] = np.nan
    said = surface_normals(np.random.default_rng(0), normals)
    angles = np.degrees(np.arccos(np.clip(said[24:] @ np.float32([0.6, 0.0, -0.8]), -1, 1)))
    assert 1 < angles.mean() < 15  # a twentieth of a radian as a whole, somewhat more as the bias
    assert (said[:4] @ np.float32([0.0, 0.0, -1.0])).mean() > 0.95
