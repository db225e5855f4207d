"""The two greedy choices against brute force on small cases, and what must hold of them for any frames."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data.select.greedy import METHODS, facility_location, k_centre, reach, to_nearest


def points(seed, count, dimensions=3):
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def distances(features):
    return np.sqrt(np.square(features[:, None] - features[None]).sum(-1))


def covered(between, chosen):
    """The mean over all frames of how much nearer the nearest chosen one is than two frames are on average."""
    far = np.sqrt((between**2).mean())
    return np.mean([max(0, far - min((row[j] for j in chosen), default=far)) for row in between])


def plain_greedy(features, value, count, power, kept=()):
    """Facility location, all gains computed anew each time."""
    chosen, between = [], distances(features)
    for _ in range(count):
        before = covered(between, [*kept, *chosen])
        scores = [
            -1 if i in chosen or i in kept
            else value[i] * (covered(between, [*kept, *chosen, i]) - before) ** power
            for i in range(len(features))
        ]  # fmt: skip
        chosen.append(int(np.argmax(scores)))
    return chosen


seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("power", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("kept", [(), (4,), (0, 7)])
def test_facility_location_is_the_plain_greedy(power, kept):
    for seed in range(2):
        features, between = points(seed, 50), distances(points(seed, 50))
        value = np.random.default_rng(seed + 50).uniform(0.3, 1, 50)
        choice = facility_location(features, value, 5, kept, power)
        assert choice.order == plain_greedy(features, value, 5, power, kept)
        before = covered(between, kept)
        assert sum(choice.gains) == pytest.approx(covered(between, [*kept, *choice.order]) - before)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(5, 9), st.integers(1, 3))
def test_facility_location_reaches_its_share_of_the_best(seed, count, wanted):
    features = points(seed, count, 2)
    between = distances(features)
    best = max(covered(between, chosen) for chosen in combinations(range(count), wanted))
    found = covered(between, facility_location(features, np.ones(count), wanted).order)
    assert found >= (1 - 1 / np.e) * best - 1e-9


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(5, 9), st.integers(1, 4))
def test_k_centre_is_at_most_twice_the_best(seed, count, wanted):
    features = points(seed, count, 2)
    between = distances(features)
    best = min(between[:, list(chosen)].min(axis=1).max() for chosen in combinations(range(count), wanted))
    order = k_centre(features, np.ones(count), wanted).order
    assert len(set(order)) == wanted
    assert between[:, order].min(axis=1).max() <= 2 * best + 1e-9


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(sorted(METHODS)), st.integers(2, 60))
def test_gains_never_grow_and_every_frame_comes_once(seed, method, count):
    features = points(seed, count)
    choice = METHODS[method](features, np.ones(count), count)
    assert sorted(choice.order) == list(range(count))
    assert all(later <= before + 1e-9 for before, later in zip(choice.gains, choice.gains[1:], strict=False))


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(sorted(METHODS)), st.integers(2, 8), st.integers(2, 5))
def test_duplicates_come_after_all_that_is_new(seed, method, distinct, copies):
    rng = np.random.default_rng(seed)
    of = rng.permutation(np.repeat(np.arange(distinct), copies))
    features = points(seed, distinct)[of]
    value = rng.uniform(0.05, 1, len(of))  # a duplicate may be in much better quality
    order = METHODS[method](features, value, len(of)).order
    assert len(set(of[order[:distinct]])) == distinct
    if method == "facility-location":  # of copies the best comes first
        assert all(value[i] == value[of == of[i]].max() for i in order[:distinct])


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(sorted(METHODS)))
def test_the_order_of_frames_does_not_matter(seed, method):
    features, value = points(seed, 40), np.random.default_rng(seed).uniform(0.5, 1, 40)
    shuffled = np.random.default_rng(seed + 1).permutation(40)
    own = METHODS[method](features, value, 10).order
    other = METHODS[method](features[shuffled], value[shuffled], 10).order
    assert own == [int(shuffled[i]) for i in other]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_without_diversity_the_most_valuable_come_first(method):
    features, value = points(1, 30), np.random.default_rng(2).uniform(0, 1, 30)
    assert METHODS[method](features, value, 5, power=0.0).order == np.argsort(-value)[:5].tolist()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_kept_frames_are_not_chosen_and_count_as_covered(method):
    features = np.array([[0.0, 0], [0.1, 0], [5, 0], [5.1, 0], [0, 9]])
    order = METHODS[method](features, np.ones(5), 2, kept=[0]).order
    assert 0 not in order and 1 not in order and 4 in order


def test_distances_do_not_depend_on_how_many_blocks_there_are():
    features = points(3, 700)
    between, far = distances(features), np.sqrt((distances(features) ** 2).mean())
    first = facility_location(features, np.ones(700), 1).order
    assert first == [np.maximum(far - between, 0).sum(axis=1).argmax()]
    chosen = list(range(0, 600, 2))
    assert to_nearest(features, chosen) == pytest.approx(between[:, chosen].min(axis=1))
    assert reach(features) == pytest.approx(far)
