"""Random maskings: what is always true of one, how often each comes, and which an ensemble asks for."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgekit.teachers.config import MaskingConfig
from edgekit.teachers.masking import distinct_maskings, draw_visible

NAMES = ["rgb", "hsv", "edges", "depth"]


def draws(count: int, config: MaskingConfig, names=NAMES, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([draw_visible(rng, names, config) for _ in range(count)])


@given(
    names=st.integers(1, 6),
    hide=st.floats(0, 0.95),
    full=st.floats(0, 1),
    kept=st.sets(st.integers(0, 5)),
    distribution=st.sampled_from(["bernoulli", "count"]),
    seed=st.integers(0, 10**6),
)
def test_never_empty_and_what_is_kept_is_seen(names, hide, full, kept, distribution, seed):
    modalities = [f"m{i}" for i in range(names)]
    keep = [m for i, m in enumerate(modalities) if i in kept]
    visible = draw_visible(
        np.random.default_rng(seed),
        modalities,
        MaskingConfig(distribution=distribution, hide=hide, full=full, keep=keep),
    )
    assert visible.shape == (names,) and visible.dtype == bool and visible.any()
    assert all(visible[modalities.index(m)] for m in keep)


def expected_frequencies(config: MaskingConfig) -> dict[tuple[bool, ...], float]:
    """Probability of each masking, by enumeration."""
    out: Counter = Counter()
    count = len(NAMES)
    for pattern in itertools.product([False, True], repeat=count):
        shown = sum(pattern)
        if not shown:
            continue
        if config.distribution == "count":
            subsets = sum(1 for p in itertools.product([False, True], repeat=count) if sum(p) == shown)
            p = 1 / count / subsets
        else:
            p = (1 - config.hide) ** shown * config.hide ** (count - shown)
        out[tuple(a or n in config.keep for a, n in zip(pattern, NAMES, strict=True))] += p
    if config.distribution == "bernoulli" and config.keep:  # a draw that hides all the others is fine then
        out[tuple(n in config.keep for n in NAMES)] += config.hide**count
    total = sum(out.values())
    found = {pattern: (1 - config.full) * p / total for pattern, p in out.items()}
    found[(True,) * count] += config.full
    return found


@pytest.mark.parametrize(
    "config",
    [
        MaskingConfig(),
        MaskingConfig(hide=0.8),
        MaskingConfig(full=0.4),
        MaskingConfig(keep=["rgb", "depth"], hide=0.3),
        MaskingConfig(distribution="count"),
        MaskingConfig(distribution="count", keep=["hsv"], full=0.2),
    ],
    ids=lambda c: f"{c.distribution}-{c.hide}-{c.full}-{'+'.join(c.keep)}",
)
def test_every_masking_comes_as_often_as_it_should(config):
    expected = expected_frequencies(config)
    number = 4000
    found = Counter(map(tuple, draws(number, config).tolist()))
    assert set(found) <= set(expected)
    patterns = list(expected)
    p = stats.chisquare([found[k] for k in patterns], [number * expected[k] for k in patterns]).pvalue
    assert p > 1e-3


def test_count_makes_every_number_of_modalities_equally_likely():
    found = Counter(draws(4000, MaskingConfig(distribution="count")).sum(1).tolist())
    assert set(found) == {1, 2, 3, 4}
    assert all(abs(n - 1000) < 120 for n in found.values())


def test_nothing_is_hidden_where_the_recipe_says_so():
    assert draws(50, MaskingConfig(hide=0.0)).all()
    assert draws(50, MaskingConfig(full=1.0)).all()
    assert draws(50, MaskingConfig(), names=["rgb"]).all()


@given(count=st.integers(1, 40), names=st.integers(1, 4), seed=st.integers(0, 1000), kept=st.booleans())
def test_maskings_for_inference_are_distinct_and_the_first_hides_nothing(count, names, seed, kept):
    modalities = NAMES[:names]
    config = MaskingConfig(keep=["rgb"] if kept else [])
    found = distinct_maskings(count, modalities, config, seed)
    assert found[0].all()
    assert len({m.tobytes() for m in found}) == len(found)
    assert all(m.any() and (m[0] or not kept) for m in found)
    possible = 2 ** (names - 1) if kept else 2**names - 1
    assert len(found) == min(count, possible)


def test_more_than_there_are_gives_all_of_them():
    found = distinct_maskings(1000, NAMES, MaskingConfig(), 0)
    everything = {p for p in itertools.product([False, True], repeat=4) if any(p)}
    assert {tuple(m.tolist()) for m in found} == everything


def test_what_training_never_hides_is_not_hidden_afterwards():
    assert len(distinct_maskings(8, NAMES, MaskingConfig(full=1.0), 0)) == 1
    assert len(distinct_maskings(8, NAMES, MaskingConfig(hide=0.0), 0)) == 1


def test_the_seed_decides_and_fewer_are_the_first_of_more():
    names = [f"m{i}" for i in range(10)]
    some, more = (distinct_maskings(n, names, MaskingConfig(), 3) for n in (5, 20))
    assert all(np.array_equal(a, b) for a, b in zip(some, more, strict=False))
    other = distinct_maskings(5, names, MaskingConfig(), 4)
    assert any(not np.array_equal(a, b) for a, b in zip(some, other, strict=True))
