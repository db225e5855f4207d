"""Every head's ensemble mean: streaming equals two passes over all members, whatever their number and order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.heads import HEADS
from edgekit.tasks import KINDS

CHANNELS = {"semantic": 4, "depth": 1, "normals": 3, "binary": 1}
PREDICTED = [name for name in HEADS if KINDS[name].predictable]
CASES = [(kind, average) for kind in PREDICTED for average in ("probability", "logit")]
few = settings(max_examples=25)


def random_members(kind: str, count: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """(M, N, C, H, W) soft predictions around a common one."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(1, 2, CHANNELS[kind], 3, 4)) + spread * rng.normal(size=(count, 2, CHANNELS[kind], 3, 4))
    soft = HEADS[kind].activation(torch.from_numpy(raw.astype(np.float32).reshape(-1, *raw.shape[2:])))
    return soft.numpy().reshape(raw.shape)


def aggregated(kind: str, average: str, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = HEADS[kind].aggregate(average)
    for one in members:
        total.add(torch.from_numpy(one))
    return total.mean().numpy(), total.disagreement().numpy()


def two_passes(kind: str, average: str, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and disagreement with all members at hand, in double precision."""
    members = members.astype(np.float64)
    mean = members.mean(axis=0)
    if kind == "semantic":
        if average == "logit":
            mean = np.exp(np.log(np.maximum(members, 1e-7)).mean(axis=0))
            mean /= mean.sum(axis=1, keepdims=True)
        return mean, (members.argmax(axis=2) != mean.argmax(axis=1)).mean(axis=0)
    if kind == "normals":
        length = np.linalg.norm(mean, axis=1)
        return mean / length[:, None], 1 - length
    return mean, 2 * members.std(axis=0).mean(axis=1)


def test_this_file_knows_every_head():
    assert set(CHANNELS) == set(PREDICTED)


@pytest.mark.parametrize(("kind", "average"), CASES)
@few
@given(count=st.integers(1, 9), seed=st.integers(0, 10**6), spread=st.sampled_from([0.01, 0.3, 2.0]))
def test_streaming_equals_two_passes(kind, average, count, seed, spread):
    members = random_members(kind, count, seed, spread)
    mean, disagreement = aggregated(kind, average, members)
    expected_mean, expected_disagreement = two_passes(kind, average, members)
    np.testing.assert_allclose(mean, expected_mean, atol=2e-6)
    np.testing.assert_allclose(disagreement, expected_disagreement, atol=2e-5)
    assert disagreement.min() >= 0 and disagreement.max() <= 1


@pytest.mark.parametrize(("kind", "average"), CASES)
@few
@given(seed=st.integers(0, 10**6))
def test_the_order_of_members_does_not_matter(kind, average, seed):
    members = random_members(kind, 6, seed)
    shuffled = members[np.random.default_rng(seed).permutation(6)]
    for one, other in zip(aggregated(kind, average, members), aggregated(kind, average, shuffled), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(("kind", "average"), CASES)
@few
@given(count=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_members_that_say_the_same_do_not_disagree(kind, average, count, seed):
    one = random_members(kind, 1, seed)
    mean, disagreement = aggregated(kind, average, np.repeat(one, count, axis=0))
    np.testing.assert_allclose(mean, one[0], atol=1e-5)
    np.testing.assert_allclose(disagreement, 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("depth", [[[[[0.0]]]], [[[[1.0]]]]]),
        ("binary", [[[[[1.0]]]], [[[[0.0]]]]]),
        ("normals", [[[[[0.0]], [[0.0]], [[1.0]]]], [[[[0.0]], [[0.0]], [[-1.0]]]]]),
    ],
)
def test_opposite_members_disagree_fully(kind, members):
    _, disagreement = aggregated(kind, "probability", np.array(members, np.float32))
    assert disagreement == pytest.approx(1.0)


def test_votes_are_counted_against_the_winner_of_the_mean():
    sure, unsure = [0.9, 0.1, 0.0], [0.4, 0.6, 0.0]
    members = np.array([sure, unsure, unsure], np.float32).reshape(3, 1, 3, 1, 1)
    mean, disagreement = aggregated("semantic", "probability", members)
    np.testing.assert_allclose(mean.ravel(), [1.7 / 3, 1.3 / 3, 0], atol=1e-6)
    assert disagreement == pytest.approx(2 / 3)  # the first class wins with one vote of three


@pytest.mark.parametrize(("kind", "average"), CASES)
def test_memory_does_not_grow_with_the_number_of_members(kind, average):
    def held(total) -> int:
        return sum(v.numel() for v in vars(total).values() if isinstance(v, torch.Tensor))

    members = torch.from_numpy(random_members(kind, 12, 0))
    total = HEADS[kind].aggregate(average)
    sizes = []
    for one in members:
        total.add(one)
        sizes.append(held(total))
    assert len(set(sizes)) == 1 and sizes[0] <= 2 * members[0].numel()
    assert not any(isinstance(v, (list, tuple, dict)) for v in vars(total).values())


@pytest.mark.parametrize(("kind", "average"), CASES)
def test_members_are_left_as_they_came(kind, average):
    members = torch.from_numpy(random_members(kind, 3, 4))
    before = members.clone()
    total = HEADS[kind].aggregate(average)
    for one in members:
        total.add(one)
    assert torch.equal(members, before)
