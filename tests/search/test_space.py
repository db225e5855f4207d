"""What a search varies, and how it is written."""

from __future__ import annotations

import pytest

from edgekit.errors import EdgekitError
from edgekit.recipe.schema import Recipe
from edgekit.search.space import (
    PRECISION,
    Choices,
    Interval,
    overrides_of,
    own_parameters,
    own_value,
    smallest,
    space_of,
)
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task

TASKS = [Task("semantic", "semantic", classes=("a", "b"))]
DEPTH = [Task("depth", "depth", range=(1.0, 9.0), unit="m")]


def recipe(**student) -> Recipe:
    train = {"augment": {"scale": [0.3, 0.8]}}
    data = {"source": "image_folder", "root": "x", "class_names": ["a", "b"]}
    student = {"name": "repseg", "input_scale": 0.6, **student}
    return Recipe(name="r", data=data, tasks={"semantic": {}}, student=student, distill={"train": train})


def test_what_a_student_offers_holds_its_own_shape_in_order():
    space = space_of(recipe(width=20, shape={"dilations": [3]}), TASKS, ("int8", "fp32"), [])
    assert space["student.width"] == Choices(("16", "20", "24", "32", "48"))
    assert space["student.shape.dilations"] == Choices(("[]", "[2]", "[3]", "[2, 4]", "[2, 4, 8]"))
    assert space["student.input_scale"] == Choices(("0.35", "0.5", "0.6", "0.7"))  # what it was trained at
    assert space["export.upsampling"] == Choices(("nearest", "bilinear"))
    assert space[PRECISION] == Choices(("int8", "fp32"))
    assert "export.upsampling" not in space_of(recipe(), DEPTH, ("int8",), [])
    own = own_parameters(recipe(width=20, shape={"dilations": [3]}), space)
    assert own["student.width"] == "20" and own["student.shape.dilations"] == "[3]" and own[PRECISION] == "int8"
    assert own["student.shape.blocks"] == "[1, 2]"  # the family's own


@pytest.mark.parametrize("name", STUDENTS)
def test_every_row_offers_shapes_that_make_networks(name):
    spec = STUDENTS[name]
    for key, values in spec.search.items():
        for value in values:
            changes = {"width": value} if key == "width" else {"shape": {key: value}}
            Student(name, TASKS, **changes, allow_over_limit=True)
    assert spec.search


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("student.width=16,24", "student.width", Choices(("16", "24"))),
        ("student.shape.dilations=[2],[2, 4]", "student.shape.dilations", Choices(("[2]", "[2, 4]"))),
        ("distill.train.learning_rate=1e-3:1e-2:log", "distill.train.learning_rate", Interval(1e-3, 1e-2, True)),
        ("distill.supervised = 0:2", "distill.supervised", Interval(0, 2, False)),
        ("distill.supervised=0:1.5", "distill.supervised", Interval(0.0, 1.5, False)),
        ("distill.train.optimiser=adamw,muon,adamw", "distill.train.optimiser", Choices(("adamw", "muon"))),
        ("precision=int8", PRECISION, Choices(("int8",))),
    ],
)
def test_what_is_varied_as_it_is_written(text, key, part):
    found = space_of(recipe(), TASKS, ("int8", "fp32"), [text])[key]
    assert found == part and type(getattr(found, "low", 0)) is type(getattr(part, "low", 0))


@pytest.mark.parametrize(
    "text",
    [
        *("", "student.width", "student.width=", "=3", "data.root=a,b", "seed=1,2", "distill.train.steps=1,2"),
        *("distill.supervised=2:1", "distill.supervised=0:1:log", "distill.supervised=a:b", "distill.supervised=0:inf"),
    ],
)
def test_what_cannot_be_varied(text):
    with pytest.raises(EdgekitError):
        space_of(recipe(), TASKS, ("int8",), [text])


def test_the_recipes_own_values():
    assert own_value(recipe(), "distill.train.learning_rate") == 5e-3  # of the family, where the recipe says nothing
    assert own_value(recipe(), "distill.losses.soft.weight") is None
    space = space_of(recipe(), TASKS, ("int8",), ["distill.train.learning_rate=1e-3:1e-2:log"])
    assert own_parameters(recipe(), space)["distill.train.learning_rate"] == 5e-3
    assert own_parameters(recipe(), space_of(recipe(), TASKS, ("int8",), ["student.width=8,64"])) is None


def test_the_smallest_in_each_precision_and_upsampling():
    found = list(
        smallest(space_of(recipe(), TASKS, ("int8", "fp32"), ["student.width=64,8", "distill.supervised=0.5:2"]))
    )
    assert {(v[PRECISION], v["export.upsampling"]) for v in found} == {
        (p, u) for p in ("int8", "fp32") for u in ("nearest", "bilinear")
    }
    for values in found:
        rest = {k: v for k, v in values.items() if k not in (PRECISION, "export.upsampling")}
        assert rest == {
            **{"student.width": "8", "student.shape.blocks": "[0, 1]", "student.shape.dilations": "[]"},
            **{"student.input_scale": "0.35", "distill.supervised": "0.5"},
        }
    assert set(overrides_of(values)) >= {"student.width=8", "student.shape.dilations=[]"}
    assert not any(text.startswith("precision") for text in overrides_of(values))
