"""Each distillation loss against its paper's formula, written as loops in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.losses import LOSSES

N, C, H, W = 2, 4, 3, 5
few = settings(max_examples=15)
seeds = st.integers(0, 10**6)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def draw(seed: int, channels: int = C):
    """raw, the ensemble's logits, weights; float64."""
    rng = np.random.default_rng(seed)
    shape = (N, channels, H, W)
    return rng.normal(size=shape), rng.normal(size=shape), rng.uniform(0.1, 1, (N, H, W))


def loss(name: str, raw, soft, weight, **settings) -> float:
    tensors = (torch.from_numpy(np.asarray(a, np.float32)) for a in (raw, soft, weight))
    return float(LOSSES[name](LOSSES[name].Config(**settings))(*tensors))


def pixels():
    return [(n, y, x) for n in range(N) for y in range(H) for x in range(W)]


@few
@given(seed=seeds, temperature=st.sampled_from([1.0, 2.0, 4.0]))
def test_soft_is_kl_at_a_temperature(seed, temperature):
    raw, logits, weight = draw(seed)
    total = 0.0
    for n, y, x in pixels():
        t, s = softmax(logits[n, :, y, x] / temperature), softmax(raw[n, :, y, x] / temperature)
        total += weight[n, y, x] * sum(t[c] * math.log(t[c] / s[c]) for c in range(C))
    expected = temperature**2 * total / weight.sum()
    # the ensemble's word comes as probabilities: their temperature is undone by the logarithm
    assert loss("soft", raw, softmax(logits, 1), weight, temperature=temperature) == pytest.approx(expected, rel=1e-4)


@few
@given(seed=seeds, temperature=st.sampled_from([1.0, 3.0]))
def test_soft_of_a_binary_map_is_the_two_class_form(seed, temperature):
    raw, logits, weight = draw(seed, 1)
    as_two = [np.concatenate([a, np.zeros_like(a)], axis=1) for a in (raw, logits)]
    expected = loss("soft", as_two[0], softmax(as_two[1], 1), weight, temperature=temperature)
    assert loss("soft", raw, sigmoid(logits), weight, temperature=temperature) == pytest.approx(expected, rel=1e-3)


def test_a_high_temperature_matches_logits():
    """T²·KL tends to half the squared distance of centred logits over the classes (Hinton et al., section 2.1)."""
    raw, logits, _ = draw(0)
    raw, logits = raw - raw.mean(1, keepdims=True), logits - logits.mean(1, keepdims=True)
    expected = ((raw - logits) ** 2).mean(axis=1).mean() / 2
    assert loss("soft", raw, softmax(logits, 1), np.ones((N, H, W)), temperature=20) == pytest.approx(expected, rel=0.1)


@few
@given(seed=seeds, threshold=st.sampled_from([0.0, 0.4, 0.6, 0.9]))
def test_hard_is_cross_entropy_where_the_ensemble_is_sure(seed, threshold):
    raw, logits, weight = draw(seed)
    soft = softmax(logits, 1).astype(np.float32)
    total = used = 0.0
    for n, y, x in pixels():
        best = soft[n, :, y, x].argmax()
        if soft[n, best, y, x] >= np.float32(threshold):
            total += weight[n, y, x] * -math.log(softmax(raw[n, :, y, x])[best])
            used += weight[n, y, x]
    expected = total / used if used else 0.0
    assert loss("hard", raw, soft, weight, threshold=threshold) == pytest.approx(expected, rel=1e-4)


@few
@given(seed=seeds, threshold=st.sampled_from([0.0, 0.7]))
def test_hard_of_a_binary_map(seed, threshold):
    raw, logits, weight = draw(seed, 1)
    soft = sigmoid(logits)
    total = used = 0.0
    for n, y, x in pixels():
        p, q = soft[n, 0, y, x], sigmoid(raw[n, 0, y, x])
        if max(p, 1 - p) >= threshold:
            total += weight[n, y, x] * -math.log(q if p > 0.5 else 1 - q)
            used += weight[n, y, x]
    assert loss("hard", raw, soft, weight, threshold=threshold) == pytest.approx(total / used if used else 0, rel=1e-4)


@few
@given(seed=seeds, temperature=st.sampled_from([1.0, 4.0]))
def test_cwd_is_kl_over_the_pixels_of_a_channel(seed, temperature):
    raw, logits, _ = draw(seed)
    teacher = np.log(softmax(logits, 1))
    total = 0.0
    for n in range(N):
        for c in range(C):
            t = softmax(teacher[n, c].ravel() / temperature)
            s = softmax(raw[n, c].ravel() / temperature)
            total += sum(a * math.log(a / b) for a, b in zip(t, s, strict=True))
    expected = temperature**2 * total / (N * C)
    ones = np.ones((N, H, W))
    assert loss("cwd", raw, np.exp(teacher), ones, temperature=temperature) == pytest.approx(expected, rel=1e-3)


def test_cwd_counts_a_pixel_by_its_weight():
    """A weight of k is a pixel that is there k times."""
    raw, logits, _ = draw(1)
    weight = np.ones((N, H, W))
    weight[:, 1], weight[:, 2] = 2, 3
    soft = softmax(logits, 1)
    repeated = [np.repeat(a, [1, 2, 3], axis=2) for a in (raw, soft)]
    expected = loss("cwd", *repeated, np.ones((N, 6, W)))
    assert loss("cwd", raw, soft, weight) == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(loss("cwd", raw, soft, np.ones((N, H, W))), rel=1e-2)


@few
@given(seed=seeds, temperature=st.sampled_from([1.0, 2.0]), inter=st.sampled_from([0.0, 1.0, 2.0]))
def test_dist_is_one_minus_pearson_over_classes_and_over_pixels(seed, temperature, inter):
    raw, logits, weight = draw(seed)
    student, teacher = softmax(raw / temperature, 1), softmax(logits / temperature, 1)
    over_classes = sum(
        weight[n, y, x] * (1 - np.corrcoef(student[n, :, y, x], teacher[n, :, y, x])[0, 1]) for n, y, x in pixels()
    )
    over_pixels = []
    for n in range(N):
        for c in range(C):
            cov = np.cov(student[n, c].ravel(), teacher[n, c].ravel(), aweights=weight[n].ravel())
            over_pixels.append(1 - cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1]))
    expected = inter * over_classes / weight.sum() + 0.5 * np.mean(over_pixels)
    value = loss("dist", raw, softmax(logits, 1), weight, temperature=temperature, inter=inter, intra=0.5)
    assert value == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_dist_leaves_frames_without_pixels_out_of_the_mean():
    raw, logits, weight = draw(3)
    soft = softmax(logits, 1)
    weight[1] = 0
    assert loss("dist", raw, soft, weight) == pytest.approx(loss("dist", raw[:1], soft[:1], weight[:1]), rel=1e-5)


@few
@given(seed=seeds)
def test_regression_is_the_weighted_mean_of_absolute_differences(seed):
    raw, other, weight = draw(seed, 1)
    soft = other.clip(0, 1)
    expected = (np.abs(raw - soft)[:, 0] * weight).sum() / weight.sum()
    assert loss("regression", raw, soft, weight) == pytest.approx(expected, rel=1e-5)


@few
@given(seed=seeds)
def test_normals_is_one_minus_the_cosine(seed):
    raw, other, weight = draw(seed, 3)
    soft = other / np.linalg.norm(other, axis=1, keepdims=True)
    total = 0.0
    for n, y, x in pixels():
        s, t = raw[n, :, y, x], soft[n, :, y, x]
        total += weight[n, y, x] * (1 - s @ t / np.linalg.norm(s))
    assert loss("normals", raw, soft, weight) == pytest.approx(total / weight.sum(), rel=1e-4)
