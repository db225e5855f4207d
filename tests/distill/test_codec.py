"""What a stored target gives back, and what it weighs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data.batches import SoftMap
from edgekit.distill.targets import decode, encode
from edgekit.losses import DETAILS
from edgekit.tasks import Task

H, W = 5, 6
few = settings(max_examples=40)


def task_of(kind: str, classes: int = 6) -> Task:
    names = tuple(f"c{i}" for i in range(classes)) if kind == "semantic" else ()
    return Task("t", kind, classes=names, range=(2.0, 300.0), unit="m")


def distribution(seed: int, classes: int, sharpness: float) -> np.ndarray:
    """(H, W, C) probabilities: sharpness near 0 is almost one-hot, large is almost uniform."""
    return np.random.default_rng(seed).dirichlet(np.full(classes, sharpness), (H, W)).astype(np.float32)


def round_trip(task: Task, soft: np.ndarray, keep: str = "full", top: int = 3, agreement: np.ndarray | None = None):
    agreement = np.ones((H, W), np.float32) if agreement is None else agreement
    arrays = encode(task, SoftMap(soft, agreement), keep, top)
    return decode(task, arrays), arrays


def root_error(p: np.ndarray) -> np.ndarray:
    """How far a probability may come back: half a step of its root, plus the normalisation of such errors."""
    return (np.sqrt(p) + 0.5 / 255) ** 2 - p + 1e-6


sharpnesses = st.sampled_from([0.02, 0.3, 1.0, 30.0])
seeds = st.integers(0, 10**6)


@few
@given(seed=seeds, classes=st.integers(2, 30), sharpness=sharpnesses)
def test_full_distributions_come_back(seed, classes, sharpness):
    soft = distribution(seed, classes, sharpness)
    back, _ = round_trip(task_of("semantic", classes), soft)
    np.testing.assert_allclose(back.soft.sum(-1), 1.0, atol=1e-5)
    # before normalisation each is within its own step; the sum of the steps scales it
    scale = root_error(soft).sum(-1, keepdims=True)
    assert (np.abs(back.soft - soft) <= root_error(soft) + (soft + root_error(soft)) * scale / (1 - scale)).all()
    assert np.abs(back.soft - soft).max() <= 0.02


@few
@given(seed=seeds, classes=st.integers(5, 30), sharpness=sharpnesses, top=st.integers(2, 4))
def test_topk_keeps_the_best_and_shares_out_the_rest(seed, classes, sharpness, top):
    soft = distribution(seed, classes, sharpness)
    back, arrays = round_trip(task_of("semantic", classes), soft, "topk", top)
    assert arrays["best"].shape == arrays["p"].shape == (H, W, top)
    order = np.argsort(-soft, axis=-1, kind="stable")
    kept, left = order[..., :top], order[..., top:]
    before, after = np.take_along_axis(soft, kept, -1), np.take_along_axis(back.soft, kept, -1)
    assert np.abs(after - before).max() <= 0.05  # what is left out is known only in sum
    rest = np.take_along_axis(back.soft, left, -1)
    np.testing.assert_allclose(rest - rest[..., :1], 0, atol=1e-7)
    assert (rest[..., :1] <= after.min(-1, keepdims=True)).all()
    np.testing.assert_allclose(back.soft.sum(-1), 1, atol=1e-5)


@few
@given(seed=seeds, classes=st.integers(2, 30), sharpness=st.sampled_from([0.02, 1.0, 30.0, 3000.0]))
def test_argmax_keeps_the_winner_however_narrow_its_win(seed, classes, sharpness):
    soft = distribution(seed, classes, sharpness)
    back, arrays = round_trip(task_of("semantic", classes), soft, "argmax")
    assert arrays["p"].shape == (H, W, 1)
    np.testing.assert_array_equal(back.soft.argmax(-1), soft.argmax(-1))
    assert np.abs(back.soft.max(-1) - soft.max(-1)).max() <= 0.005


def test_a_tie_is_kept_as_one():
    soft = np.full((H, W, 2), 0.5, np.float32)
    soft[..., 1] += 1e-4
    back, _ = round_trip(task_of("semantic", 2), soft, "argmax")
    assert (back.soft.argmax(-1) == 1).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_topk_of_few_classes_is_the_full_distribution(classes):
    soft = distribution(0, classes, 1.0)
    back, arrays = round_trip(task_of("semantic", classes), soft, "topk", 3)
    full, _ = round_trip(task_of("semantic", classes), soft, "full")
    assert "best" not in arrays
    np.testing.assert_array_equal(back.soft, full.soft)


@few
@given(p=st.lists(st.floats(0, 1, width=32), min_size=30, max_size=30), keep=st.sampled_from(DETAILS))
def test_binary_probabilities_come_back(p, keep):
    soft = np.array(p, np.float32).reshape(H, W, 1)
    back, _ = round_trip(task_of("binary"), soft, keep)
    assert (np.abs(back.soft - soft) <= root_error(soft)).all()


@few
@given(d=st.lists(st.floats(-0.5, 1.5, width=32), min_size=30, max_size=30), keep=st.sampled_from(DETAILS))
def test_depth_comes_back_to_one_part_in_130_000(d, keep):
    soft = np.array(d, np.float32).reshape(H, W, 1)
    back, _ = round_trip(task_of("depth"), soft, keep)
    np.testing.assert_allclose(back.soft, soft.clip(0, 1), atol=0.5 / 65535 + 1e-7)


@few
@given(seed=seeds, keep=st.sampled_from(DETAILS))
def test_normals_come_back_to_0_4_degrees(seed, keep):
    soft = np.random.default_rng(seed).normal(size=(H, W, 3)).astype(np.float32)
    soft /= np.linalg.norm(soft, axis=-1, keepdims=True)
    back, _ = round_trip(task_of("normals"), soft, keep)
    np.testing.assert_allclose(np.linalg.norm(back.soft, axis=-1), 1, atol=1e-6)
    cross = np.linalg.norm(np.cross(back.soft.astype(float), soft.astype(float)), axis=-1)
    assert np.degrees(np.arcsin(cross)).max() <= 0.4
    assert (back.soft * soft).sum(-1).min() > 0


@few
@given(a=st.lists(st.floats(0, 1, width=32), min_size=30, max_size=30))
def test_agreement_comes_back_finest_where_members_agree(a):
    agreement = np.array(a, np.float32).reshape(H, W)
    for kind in ("semantic", "depth", "normals", "binary"):
        soft = np.full((H, W, {"semantic": 6, "normals": 3}.get(kind, 1)), 0.5, np.float32)
        back, _ = round_trip(task_of(kind), soft, agreement=agreement)
        # √d to half of 1/255: d is off by at most 2·√d·½/255 + (½/255)²
        bound = np.sqrt(1 - agreement) / 255 + (0.5 / 255) ** 2 + 1e-6
        assert (np.abs(back.agreement - agreement) <= bound).all()
        assert back.agreement.dtype == back.soft.dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "keep", "bytes_per_pixel"),
    [
        ("semantic", "full", 8 + 1),
        ("semantic", "topk", 3 + 3 + 1),
        ("semantic", "argmax", 1 + 1 + 1),
        ("binary", "full", 1 + 1),
        ("binary", "argmax", 1 + 1),
        ("depth", "full", 2 + 1),
        ("normals", "argmax", 3 + 1),
    ],
)
def test_bytes_per_pixel(kind, keep, bytes_per_pixel):
    channels = {"semantic": 8, "normals": 3}.get(kind, 1)
    _, arrays = round_trip(task_of(kind, 8), np.full((H, W, channels), 1 / channels, np.float32), keep)
    assert sum(a.nbytes for a in arrays.values()) == bytes_per_pixel * H * W


def test_small_probabilities_are_told_apart():
    """What softened losses look at: 8 bits of p itself would make 0 of all of these."""
    soft = np.zeros((H, W, 4), np.float32)
    soft[...] = [0.9984, 1e-3, 5e-4, 1e-4]
    back, _ = round_trip(task_of("semantic", 4), soft)
    np.testing.assert_allclose(back.soft[0, 0, 1:], [1e-3, 5e-4, 1e-4], rtol=0.4)
