"""The accuracy gate: its default limits, its units, and what it does not judge."""

from __future__ import annotations

import pytest

from edgekit.quantize.config import GateConfig
from edgekit.quantize.gate import holds, judge, strain


@pytest.mark.parametrize(
    ("before", "after", "cost", "passes"),
    [
        ({"miou": 0.600}, {"miou": 0.591}, 0.9, True),
        ({"miou": 0.600}, {"miou": 0.589}, 1.1, False),
        ({"miou": 0.600}, {"miou": 0.650}, -5.0, True),
        ({"iou": 0.500}, {"iou": 0.480}, 2.0, False),
        ({"absrel": 0.100}, {"absrel": 0.1019}, 1.9, True),
        ({"absrel": 0.100}, {"absrel": 0.1021}, 2.1, False),
        ({"mean_angle": 20.0}, {"mean_angle": 20.9}, 0.9, True),
        ({"mean_angle": 20.0}, {"mean_angle": 21.1}, 1.1, False),
    ],
)
def test_default_limits(before, after, cost, passes):
    (verdict,) = verdicts = judge({"task": before}, {"task": after}, GateConfig())
    assert verdict.cost == pytest.approx(cost)
    assert holds(verdicts) is passes
    assert (strain(verdicts) <= 1) is passes


def test_every_task_counts():
    reference = {"a": {"miou": 0.5, "iou": {"x": 0.5}}, "b": {"absrel": 0.2}}
    verdicts = judge(reference, {"a": {"miou": 0.5}, "b": {"absrel": 0.3}}, GateConfig())
    assert [v.holds for v in verdicts] == [True, False]
    assert strain(verdicts) == pytest.approx(25.0)
    assert str(verdicts[1]) == "b: absrel 0.2000 → 0.3000, +50.00 % of 2 allowed"


def test_a_metric_that_becomes_undefined_fails():
    verdicts = judge({"a": {"miou": 0.5}}, {"a": {"miou": None}}, GateConfig())
    assert not holds(verdicts) and strain(verdicts) == float("inf")


def test_a_metric_that_was_undefined_is_not_judged():
    assert judge({"a": {"miou": None}}, {"a": {"miou": 0.1}}, GateConfig()) == []


def test_a_limit_of_zero_allows_no_loss():
    gate = GateConfig(miou_points=0)
    assert holds(judge({"a": {"miou": 0.5}}, {"a": {"miou": 0.5}}, gate))
    worse = judge({"a": {"miou": 0.5}}, {"a": {"miou": 0.49}}, gate)
    assert not holds(worse) and strain(worse) > 1
