"""The accuracy gate: its default limits, its units, and that what cannot be judged does not pass."""

from __future__ import annotations

import pytest

from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.gate import holds, judge, violation
from edgekit.tasks import KINDS, Task

A, B = Task("a", "semantic", classes=("x", "y")), Task("b", "depth")


@pytest.mark.parametrize(
    ("kind", "before", "after", "cost", "passes"),
    [
        ("semantic", {"miou": 0.600, "iou": {"x": 0.1}}, {"miou": 0.591}, 0.9, True),
        ("semantic", {"miou": 0.600}, {"miou": 0.589}, 1.1, False),
        ("semantic", {"miou": 0.600}, {"miou": 0.650}, -5.0, True),
        ("binary", {"iou": 0.500}, {"iou": 0.480}, 2.0, False),
        ("depth", {"absrel": 0.100}, {"absrel": 0.1019}, 1.9, True),
        ("depth", {"absrel": 0.100}, {"absrel": 0.1021}, 2.1, False),
        ("depth", {"absrel": 0.0}, {"absrel": 0.0}, 0.0, True),
        ("depth", {"absrel": 0.0}, {"absrel": 0.001}, 100.0, False),
        ("normals", {"mean_angle": 20.0}, {"mean_angle": 20.9}, 0.9, True),
        ("normals", {"mean_angle": 20.0}, {"mean_angle": 21.1}, 1.1, False),
    ],
)
def test_default_limits(kind, before, after, cost, passes):
    (verdict,) = verdicts = judge([Task("task", kind)], {"task": before}, {"task": after})
    assert verdict.cost == pytest.approx(cost)
    assert holds(verdicts) is passes
    assert (violation(verdicts) <= 1) is passes


def test_every_task_counts():
    reference = {"a": {"miou": 0.5, "iou": {"x": 0.5}}, "b": {"absrel": 0.2}}
    verdicts = judge([A, B], reference, {"a": {"miou": 0.5}, "b": {"absrel": 0.3}})
    assert [v.holds for v in verdicts] == [True, False]
    assert violation(verdicts) == pytest.approx(25.0)
    assert str(verdicts[1]) == "b: absrel 0.2000 → 0.3000, +50.00 % of 2 allowed"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": {"miou": 0.5}}, {"a": {"miou": None}}),
        ({"a": {"miou": None}}, {"a": {"miou": 0.5}}),
        ({"a": {"miou": 0.5}}, {"a": {"iou": 0.5}}),
        ({"a": {"miou": 0.5}}, {}),
        ({}, {"a": {"miou": 0.5}}),
    ],
)
def test_what_has_no_verdict_fails(before, after):
    verdicts = judge([A], before, after)
    assert not holds(verdicts) and violation(verdicts) == float("inf")
    assert str(verdicts[0]) == "a: miou is undefined"
    assert not holds([]) and violation([]) == float("inf")


def test_every_kind_that_is_predicted_can_be_judged():
    for kind in KINDS.values():
        if kind.predictable:
            good, bad = (1.0, 0.0) if kind.primary.higher_is_better else (0.001, 180.0)
            task, name = Task("t", kind.name), kind.primary.name
            assert holds(judge([task], {"t": {name: good}}, {"t": {name: good}}))
            assert not holds(judge([task], {"t": {name: good}}, {"t": {name: bad}}))
            assert holds(judge([task], {"t": {name: bad or 0.5}}, {"t": {name: good}}))


def test_limits_of_a_recipe_are_those_of_kinds():
    limits = QuantizeConfig(gate={"semantic": 0, "depth": 60}).gate
    assert holds(judge([A], {"a": {"miou": 0.5}}, {"a": {"miou": 0.5}}, limits))
    worse = judge([A], {"a": {"miou": 0.5}}, {"a": {"miou": 0.49}}, limits)
    assert not holds(worse) and violation(worse) > 1
    assert holds(judge([B], {"b": {"absrel": 0.2}}, {"b": {"absrel": 0.3}}, limits))
    with pytest.raises(ValueError, match="should be semantic, depth, normals, binary"):
        QuantizeConfig(gate={"miou_points": 1})
