"""What a recipe demands, each rule met and missed."""

from __future__ import annotations

import pytest

from edgekit.pipeline.requirements import check_requirements
from edgekit.recipe.schema import Requirements
from edgekit.tasks import Task

DEPTH = Task("depth", "depth", range=(1.0, 100.0), unit="m")
SEMANTIC = Task("semantic", "semantic", classes=("a", "b"))
TASKS = [DEPTH, SEMANTIC]


def result_of(**changes) -> dict:
    """Everything holds; ``changes``: row → (absrel, mIoU), or a key of the result."""
    rows = {"single_all": (0.1, 0.60), "ensemble": (0.2, 0.70), "baseline": (0.3, 0.50), "student": (0.15, 0.69)}
    rows.update({k: v for k, v in changes.items() if k in rows})
    scores = {row: {"depth": {"absrel": a}, "semantic": {"miou": m}} for row, (a, m) in rows.items()}
    told = {"retention": {"semantic": 0.985, "depth": 0.9}, "parameters": 400_000}
    return {"scores": scores, **told, **{k: v for k, v in changes.items() if k in told}}


def holds(result: dict, **require) -> bool:
    checked = check_requirements(Requirements(**{"student_beats_baseline": False} | require), TASKS, result)
    assert len(checked) == 1 and set(checked[0]) == {"name", "holds", "found"}
    return checked[0]["holds"]


def test_where_nothing_is_demanded_the_student_must_still_beat_its_labels_only_twin():
    (checked,) = check_requirements(Requirements(), TASKS, result_of())
    assert checked["holds"] and "distilled student" in checked["name"] and "depth" not in checked["found"]
    (checked,) = check_requirements(Requirements(), TASKS, result_of(baseline=(0.01, 0.50)))
    assert checked["holds"]  # of several tasks the first that says what things are
    (checked,) = check_requirements(Requirements(), TASKS, result_of(baseline=(0.3, 0.70)))
    assert not checked["holds"]
    result = result_of()
    del result["scores"]["baseline"]  # the user has left it out
    assert check_requirements(Requirements(), TASKS, result) == []
    assert check_requirements(Requirements(student_beats_baseline=False), TASKS, result_of()) == []


@pytest.mark.parametrize(
    ("rule", "missed"),
    [
        ({"ensemble_beats_single": True}, {"single_all": (0.1, 0.70)}),
        ({"ensemble_beats_baseline": True}, {"baseline": (0.3, 0.71)}),
        ({"student_beats_baseline": True}, {"baseline": (0.3, 0.70)}),
        ({"student_beats_baseline": True}, {"baseline": (0.14, 0.50)}),  # on every task: depth is worse
        ({"retention": 0.98}, {"retention": {"semantic": 0.9799, "depth": 1.0}}),
        ({"retention": 0.98}, {"retention": {"depth": 1.0}}),
        ({"parameters": 400_000}, {"parameters": 400_001}),
    ],
)
def test_each_rule_holds_and_fails(rule, missed):
    assert holds(result_of(), **rule)
    assert not holds(result_of(**missed), **rule)


def test_the_ensemble_is_judged_by_its_semantic_task():
    assert holds(result_of(ensemble=(0.9, 0.70)), ensemble_beats_single=True)
    (only,) = check_requirements(
        Requirements(ensemble_beats_single=True, student_beats_baseline=False), [DEPTH], result_of()
    )
    assert not only["holds"]  # without one, the first task: 0.2 is no better than 0.1


def test_a_row_that_was_not_made_fails():
    result = result_of()
    del result["scores"]["baseline"]
    assert not holds(result, student_beats_baseline=True)
    assert "none" in check_requirements(Requirements(ensemble_beats_baseline=True), TASKS, result)[0]["found"]


def test_what_was_found_is_told():
    checked = check_requirements(
        Requirements(student_beats_baseline=True, retention=0.98, parameters=1_000_000), TASKS, result_of()
    )
    assert [c["found"] for c in checked] == [
        "depth 0.1500 against 0.3000, semantic 0.6900 against 0.5000",
        "0.9850",
        "400,000",
    ]
    assert checked[1]["name"] == "retention of at least 98.0%" and "1,000,000" in checked[2]["name"]
