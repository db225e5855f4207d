"""Every row of LOSSES through one tester; a new loss is tested by its line in the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from edgekit.losses import DETAILS, LOSSES
from edgekit.tasks import KINDS

CHANNELS = {"semantic": 4, "binary": 1, "depth": 1, "normals": 3}
CASES = [(name, kind) for name, loss in LOSSES.items() for kind in sorted(loss.kinds)]
SHAPE = (2, 5, 6)  # frames, height, width


def example(kind: str, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(raw, soft, weight) of a student that is not the ensemble."""
    rng = np.random.default_rng(seed)
    n, h, w = SHAPE
    raw = rng.normal(0.3, 1.0, (n, CHANNELS[kind], h, w))
    weight = rng.uniform(0.1, 1.0, SHAPE)
    soft = activation(kind, torch.from_numpy(rng.normal(0.3, 1.0, raw.shape)))
    return torch.from_numpy(raw).float(), soft.float(), torch.from_numpy(weight).float()


def activation(kind: str, raw: torch.Tensor) -> torch.Tensor:
    if kind == "semantic":
        return raw.softmax(dim=1)
    if kind == "binary":
        return raw.sigmoid()
    return raw / raw.norm(dim=1, keepdim=True) if kind == "normals" else raw.clamp(0, 1)


def student_that_agrees(kind: str, soft: torch.Tensor) -> torch.Tensor:
    """A raw output that means ``soft``."""
    if kind == "semantic":
        return soft.log() + 1.7  # logits are known up to a constant
    if kind == "binary":
        return soft.logit()
    return 2.0 * soft if kind == "normals" else soft.clone()


def build(name: str, **settings):
    return LOSSES[name](LOSSES[name].Config(**settings))


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_says_what_it_is_for_and_what_it_needs(name):
    loss = LOSSES[name]
    assert loss.kinds and all(KINDS[kind].predictable for kind in loss.kinds)
    assert loss.needs in DETAILS
    assert loss.__doc__
    assert loss.Config().weight == 1.0
    for wrong in ({"nonsense": 1}, {"weight": -1}):
        with pytest.raises(ValidationError):
            loss.Config(**wrong)


def test_every_predictable_kind_can_be_distilled():
    assert set().union(*(loss.kinds for loss in LOSSES.values())) == {n for n, k in KINDS.items() if k.predictable}


def test_it_is_a_positive_scalar_that_teaches(case):
    name, kind = case
    raw, soft, weight = example(kind)
    raw.requires_grad_()
    value = build(name)(raw, soft, weight)
    value.backward()
    assert value.shape == () and float(value.detach()) > 0
    assert torch.isfinite(raw.grad).all()
    assert (raw.grad.abs().sum(dim=1) > 0).all()  # every pixel has a say


def test_a_step_against_the_gradient_helps(case):
    name, kind = case
    raw, soft, weight = example(kind)
    raw.requires_grad_()
    before = build(name)(raw, soft, weight)
    before.backward()
    step = 1e-2 * raw.grad / raw.grad.norm()
    assert float(build(name)(raw.detach() - step, soft, weight)) < float(before.detach())


def test_the_ensemble_itself_is_the_best_student(case):
    name, kind = case
    _, soft, weight = example(kind)
    raw = student_that_agrees(kind, soft).requires_grad_()
    value = build(name)(raw, soft, weight)
    value.backward()
    if name == "hard":  # wants certainty, which no soft prediction has
        assert float(value.detach()) > 0
        sharper = (4.0 * raw).detach()
        assert float(build(name)(sharper, soft, weight)) < float(value.detach())
        return
    assert float(value.detach()) == pytest.approx(0.0, abs=2e-6)
    others = [float(build(name)(raw.detach() + 0.3 * torch.randn_like(raw), soft, weight)) for _ in range(5)]
    assert min(others) > 1e-4
    if name != "regression":  # whose gradient jumps there
        assert raw.grad.abs().max() < 1e-5


def test_pixels_of_weight_0_do_not_exist(case):
    name, kind = case
    raw, soft, weight = example(kind)
    weight[:, :2] = 0.0
    value = build(name)(raw, soft, weight)
    other_raw, other_soft, _ = example(kind, seed=9)
    raw[:, :, :2], soft[:, :, :2] = other_raw[:, :, :2], other_soft[:, :, :2]
    raw.requires_grad_()
    again = build(name)(raw, soft, weight)
    again.backward()
    assert float(again.detach()) == pytest.approx(float(value), rel=1e-6)
    assert not raw.grad[:, :, :2].any()
    assert raw.grad[:, :, 2:].abs().sum() > 0
    rows = build(name)(raw.detach()[:, :, 2:], soft[:, :, 2:], weight[:, 2:])  # the same as cutting them off
    assert float(rows) == pytest.approx(float(value), rel=1e-5)


def test_a_frame_of_weight_0_has_no_gradient(case):
    name, kind = case
    raw, soft, weight = example(kind)
    weight[1] = 0.0
    raw.requires_grad_()
    build(name)(raw, soft, weight).backward()
    assert not raw.grad[1].any() and torch.isfinite(raw.grad).all() and raw.grad[0].any()


def test_nothing_to_learn_from_costs_nothing(case):
    name, kind = case
    raw, soft, weight = example(kind)
    raw.requires_grad_()
    value = build(name)(raw, soft, torch.zeros_like(weight))
    value.backward()
    assert float(value.detach()) == 0.0 and torch.equal(raw.grad, torch.zeros_like(raw))


def test_the_scale_of_the_weights_does_not_matter(case):
    name, kind = case
    raw, soft, weight = example(kind)
    value = float(build(name)(raw, soft, weight))
    assert float(build(name)(raw, soft, 0.25 * weight)) == pytest.approx(value, rel=1e-4)


def test_more_weight_means_more_gradient(case):
    name, kind = case
    raw, soft, weight = example(kind)
    weight.fill_(1.0)

    def share_of_first_row(weight):
        x = raw.clone().requires_grad_()
        build(name)(x, soft, weight).backward()
        size = x.grad.abs()
        return float(size[:, :, 0].sum() / size.sum())

    light = weight.clone()
    light[:, 0] = 0.05
    assert share_of_first_row(light) < 0.5 * share_of_first_row(weight)


def test_extreme_but_legal_values_stay_finite(case):
    name, kind = case
    raw, soft, weight = example(kind)
    raw = (60.0 * raw).requires_grad_()
    if kind in ("semantic", "binary"):  # certain to the last bit, as 8-bit storage makes it
        soft = (soft == soft.amax(dim=1, keepdim=True)).float() if kind == "semantic" else (soft > 0.5).float()
    value = build(name)(raw, soft, weight)
    value.backward()
    assert math.isfinite(float(value.detach())) and torch.isfinite(raw.grad).all()


def test_a_student_that_says_nothing_can_learn(case):
    name, kind = case
    raw, soft, weight = example(kind)
    raw = torch.zeros_like(raw).requires_grad_()
    build(name)(raw, soft, weight).backward()
    assert torch.isfinite(raw.grad).all() and raw.grad.any()
