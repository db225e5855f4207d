"""`--set key=value`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from edgekit.errors import EdgekitError
from edgekit.recipe.load import load_recipe


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Member(Strict):
    name: str
    width: int = Field(6, ge=1)


class Teacher(Strict):
    members: list[Member] = [Member(name="a"), Member(name="b", width=10)]
    seeds: list[int] = [0]


class Plan(Strict):
    teacher: Teacher = Teacher()
    student: Member = Member(name="repseg")
    weights: dict[str, float] = {}
    extra: Member | None = None


@pytest.fixture
def load(tmp_path):
    def load(*overrides: str, text: str = "{}") -> Plan:
        path = tmp_path / "r.yaml"
        path.write_text(text)
        return load_recipe(Plan, path, overrides)

    return load


@pytest.fixture
def refusal(load):
    def refusal(*overrides: str, text: str = "{}") -> EdgekitError:
        with pytest.raises(EdgekitError) as caught:
            load(*overrides, text=text)
        return caught.value

    return refusal


def test_a_key_of_the_file_is_replaced(load):
    plan = load("student.width=32", text="student: {name: x, width: 3}")
    assert plan.student == Member(name="x", width=32)


def test_a_key_of_a_default_keeps_the_rest_of_the_default(load):
    assert load("student.width=32").student == Member(name="repseg", width=32)
    assert load("teacher.members.1.width=3").teacher.members == [Member(name="a"), Member(name="b", width=3)]


def test_the_models_own_defaults_stay_untouched(load):
    load("teacher.members.0.width=99", "teacher.seeds.0=5")
    assert load().teacher == Teacher()


def test_a_list_entry_of_the_file_is_replaced(load):
    plan = load("teacher.members.0.width=8", text="teacher: {members: [{name: z}]}")
    assert plan.teacher.members == [Member(name="z", width=8)]


def test_flow_values_replace_whole_branches(load):
    plan = load("teacher.seeds=[1, 2]", "student={name: y}", "weights.depth=1e-2", "extra.name=q")
    assert plan.teacher.seeds == [1, 2]
    assert plan.student == Member(name="y")
    assert plan.weights == {"depth": 0.01}
    assert plan.extra == Member(name="q")


def test_later_overrides_win_and_values_may_hold_equal_signs(load):
    assert load("student.width=1", "student.width=2", "student.name=a=b").student == Member(name="a=b", width=2)


@pytest.mark.parametrize(
    "text",
    [
        *("/x/run #3", "#3", "C: the disk", "a: b", "ends with:", "- a", "-", "? a", "!a", "&a", "*.png", "| a", "> a"),
        *("50%", "%a", "@home", "`ls`", "a\nb", "x\t#y", "a [1], b: 2", "it's #1: it's"),
    ],
)
def test_a_text_is_taken_to_its_end(load, text):
    assert load(f"student.name={text}").student.name == text


@pytest.mark.parametrize(
    ("text", "value"), [("'run #3'", "run #3"), ('"a: b"', "a: b"), ("a#b", "a#b"), ("http://x:80/y", "http://x:80/y")]
)
def test_a_quoted_text_is_what_stands_in_the_quotes(load, text, value):
    assert load(f"student.name={text}").student.name == value
    assert load(f"student={{name: {text}}}").student.name == value


def test_null_is_a_value(load):
    assert load("extra=null", text="extra: {name: a}").extra is None


def test_a_type_error_is_laid_on_the_override_and_not_on_the_file(refusal):
    error = refusal("student.width=wide", text="student: {name: a, width: 3}")
    assert error.where == "--set student.width=wide: student.width"
    assert error.what == 'student.width is "wide", but should be a valid integer'


def test_a_problem_of_the_file_beside_an_override_stays_with_the_file(refusal):
    error = refusal("student.width=3", text="student:\n  nmae: a\n  name: b\n")
    assert error.where.endswith("r.yaml, line 2: student.nmae")


def test_an_unknown_path_is_refused_with_the_nearest_key(refusal):
    error = refusal("student.widht=32")
    assert error.where == "--set student.widht=32: student.widht"
    assert error.fix == "did you mean 'width'?"
    error = refusal("studnet.width=32")
    assert error.where == "--set studnet.width=32: studnet"
    assert error.fix == "did you mean 'student'?"


@pytest.mark.parametrize("index", ["2", "-1", "x", "1.0"])
def test_an_entry_a_list_does_not_have_is_refused(refusal, index):
    error = refusal(f"teacher.members.{index}.width=3", text="teacher: {members: [{name: z}]}")
    assert "list of 1 entries and has no entry" in error.what
    assert error.fix == "use a number from 0 to 0"


def test_a_path_through_a_scalar_is_refused(refusal):
    error = refusal("student.width.deep=3", text="student: {name: a, width: 5}")
    assert error.what == "student.width is 5, so it has no key 'deep'"


@pytest.mark.parametrize("text", ["student.width", "=3", "student..width=3", ""])
def test_what_is_no_assignment_is_refused(refusal, text):
    error = refusal(text)
    assert f"here it is '{text}'" in error.what and "--set student.width=32" in error.fix


def test_a_value_that_is_no_yaml_is_refused(refusal):
    error = refusal("teacher.seeds=[1, 2")
    assert "not valid YAML" in error.what and error.where == "--set teacher.seeds=[1, 2"


def test_a_whole_branch_of_wrong_type_names_the_inner_key(refusal):
    error = refusal("student={name: a, width: 0}")
    assert error.where == "--set student={name: a, width: 0}: student.width"


def test_relative_names_in_a_recipe_are_left_as_written(tmp_path):
    class Rooted(Strict):
        root: Path

    path = tmp_path / "r.yaml"
    path.write_text("root: ../pictures")
    assert load_recipe(Rooted, path).root == Path("../pictures")
    assert load_recipe(Rooted, path, ["root=~/x"]).root == Path("~/x")
