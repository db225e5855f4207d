"""Loading: files, `extends`, and what an error says."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.errors import EdgekitError
from edgekit.recipe.load import dump, load_recipe, recipe_hash


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scenes(Strict):
    kind: Literal["scenes"]
    frames: int = Field(100, ge=1)


class Folder(Strict):
    kind: Literal["folder"]
    root: Path
    labelled: float | Literal["all"] | Path = "all"
    classes: dict[str, list[str]] = {}


class Member(Strict):
    family: Literal["safeuav", "wide"] = "safeuav"
    width: int = Field(6, ge=1, le=64)


class Teacher(Strict):
    members: list[Member] = [Member(), Member(width=10)]
    epochs: int = 3


class Student(Strict):
    name: str = "repseg"
    width: int = Field(16, ge=1, le=64)
    size: tuple[int, int] | None = None
    ema: bool = True
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    share: Annotated[float, Field(ge=0, le=1)] | Literal["all"] = "all"
    note: Member | list[Member] | None = None

    @model_validator(mode="after")
    def _small(self):
        if self.name == "safeuav" and self.width > 32:
            raise ValueError(f"a safeuav of width {self.width} is over the limit")
        return self


class Toy(Strict):
    title: str = "toy"
    data: Annotated[Scenes | Folder, Field(discriminator="kind")] = Scenes(kind="scenes")
    teacher: Teacher = Teacher()
    student: Student = Student()
    by_task: dict[Literal["semantic", "depth"], float] = {}


class Needy(Strict):
    must: int
    sub: Student | None = None


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "r.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path: Path, *overrides: str, model: type[BaseModel] = Toy) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        load_recipe(model, path, overrides)
    return caught.value


def test_a_recipe_loads_with_defaults_for_the_rest(write):
    recipe = load_recipe(Toy, write("student: {width: 32, size: [160, 288]}\ndata: {kind: folder, root: pictures}\n"))
    assert recipe.student == Student(width=32, size=(160, 288))
    assert recipe.data == Folder(kind="folder", root=Path("pictures"))
    assert recipe.teacher == Teacher()


@pytest.mark.parametrize(
    ("written", "size"), [("[0100, 0144]", (100, 144)), ("[08, 09]", (8, 9)), ("[100, 144]", (100, 144))]
)
def test_a_leading_zero_is_no_octal(write, written, size):
    assert load_recipe(Toy, write(f"student: {{size: {written}}}")).student.size == size
    assert load_recipe(Toy, write("{}"), [f"student.size={written}"]).student.size == size


def test_yes_and_no_are_names(write):
    classes = load_recipe(
        Toy, write("data: {kind: folder, root: x, classes: {no: [no, off], yes: [y, on]}}")
    ).data.classes
    assert classes == {"no": ["no", "off"], "yes": ["y", "on"]}


@pytest.mark.parametrize("value", ["true", "2024", "1.5", "null", "0x10", "1_000"])
def test_what_yaml_takes_for_no_text_asks_for_quotes(write, value):
    error = refusal(write(f"data: {{kind: folder, root: x, classes: {{a: [{value}]}}}}"))
    assert "but should be text" in error.what and "in quotes" in error.fix
    quoted = load_recipe(Toy, write(f"data: {{kind: folder, root: x, classes: {{a: ['{value}']}}}}"))
    assert quoted.data.classes == {"a": [value]}


@pytest.mark.parametrize("value", ["1.2.3", "1-2", "8a", "."])
def test_what_is_no_number_is_not_told_to_lose_its_quotes(write, value):
    error = refusal(write(f"student: {{width: '{value}'}}"))
    assert "should be a valid integer" in error.what and "quotes" not in (error.fix or "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1e-3", 0.001), ("5e-1", 0.5), ("0.25", 0.25), ("1.5e-2", 0.015)],
)
def test_numbers_are_read_as_people_write_them(write, text, expected):
    assert load_recipe(Toy, write(f"student: {{share: {text}}}")).student.share == expected
    assert load_recipe(Toy, write("{}"), [f"student.share={text}"]).student.share == expected


def test_an_unknown_key_names_file_line_path_value_and_the_nearest_key(write):
    path = write("title: a\nstudent:\n  name: repseg\n  widht: 32\n")
    error = refusal(path)
    assert error.where == f"{path}, line 4: student.widht"
    assert "'widht'" in error.what and "32" in error.what
    assert "name, width, size, ema, decay, share, note" in error.what
    assert error.fix == "did you mean 'width'?"


def test_an_unknown_key_that_is_known_elsewhere_says_where(write):
    assert refusal(write("epochs: 3")).fix == "did you mean teacher.epochs?"


def test_an_unknown_key_like_nothing_else_lists_the_keys(write):
    error = refusal(write("zzzzzz: 3"))
    assert "title, data, teacher, student, by_task, extends" in error.what
    assert error.fix == "remove it"
    assert refusal(write("extend: x.yaml")).fix == "did you mean 'extends'?"


@pytest.mark.parametrize(
    ("text", "where", "what", "fix"),
    [
        ("student: {width: 65}", "student.width", "is 65, but should be less than or equal to 64", None),
        ("student: {width: '32'}", "student.width", 'is "32"', "write 32 without quotes"),
        ("student: {width: true}", "student.width", "is true, but should be a valid integer", None),
        ("student: {ema: 1}", "student.ema", "is 1, but should be true or false", None),
        ("student: {decay: 1}", "student.decay", "is 1, but should be less than 1", None),
        ("student: {size: [1]}", "student.size.1", "missing", "write student.size.1"),
        ("student: {size: 3}", "student.size", "is 3, but should be a list", None),
        ("student: {share: 3}", "student.share", "is 3, but should be less than or equal to 1 or 'all'", None),
        ("student: {share: al}", "student.share", 'is "al"', "did you mean 'all'?"),
        ("student: 3", "student", "is 3, but should be a mapping", None),
        ("student: {note: {widht: 3}}", "student.note.widht", "unknown key 'widht'", "did you mean 'width'?"),
        ("student: {note: [{width: a}]}", "student.note.0.width", 'is "a", but should be a valid integer', None),
        ("student: {note: 3}", "student.note", "is 3, but should be a mapping or a list", None),
        (
            "teacher: {members: [{}, {family: safeuva}]}",
            "teacher.members.1.family",
            "should be 'safeuav' or 'wide'",
            "safeuav",
        ),
        ("data: {kind: folder}", "data.root", "the key 'root' is missing", "write data.root"),
        ("data: {kind: fodler}", "data.kind", "one of folder, scenes", "did you mean 'folder'?"),
        ("data: {kind: [scenes]}", "data.kind", 'is ["scenes"], but should be one of folder, scenes', "scenes"),
        ("data: [scenes]", "data", 'is ["scenes"], but should be a mapping', None),
        ("data: {frames: 3}", "data.kind", "the key 'kind' is missing: one of folder, scenes", "write data.kind"),
        (
            "data: {kind: scenes, frmes: 3}",
            "data.frmes",
            "the keys of data are: kind, frames",
            "did you mean 'frames'?",
        ),
        ("data: {kind: folder, root: a, classes: {x: y}}", "data.classes.x", 'is "y", but should be a list', None),
        ("by_task: {semantik: 1}", "by_task.semantik", "should be 'semantic' or 'depth'", "did you mean 'semantic'?"),
        ("by_task: {depth: x}", "by_task.depth", 'is "x", but should be a valid number', None),
    ],
)
def test_a_bad_value_says_what_is_allowed(write, text, where, what, fix):
    path = write(text)
    error = refusal(path)
    assert error.where == f"{path}, line 1: {where}"
    assert what in error.what
    assert (fix or "correct it there") in error.fix


def test_a_message_of_the_schema_itself_comes_through(write):
    error = refusal(write("title: a\nstudent: {name: safeuav, width: 64}"))
    assert error.what == "a safeuav of width 64 is over the limit"
    assert error.where.endswith("line 2: student")


def test_a_missing_key_of_the_whole_recipe(write):
    path = write("sub: {}")
    error = refusal(path, model=Needy)
    assert (error.what, error.where) == ("the key 'must' is missing", f"{path}: must")


def test_all_problems_are_told_at_once_in_file_order(write):
    path = write("titel: a\nstudent: {width: 0, ema: x}\ndata: {kind: folder}\nstudent: {width: 0, ema: x}\n")
    error = refusal(path, "teacher.epochs=many", "nonsense")
    text = str(error)
    for part in ("written twice", "titel", "student.width", "student.ema", "data.root", "teacher.epochs", "nonsense"):
        assert part in text
    assert "the recipe has 7 problems" in error.what
    assert error.where == str(path)


# -- the file itself


def test_a_missing_file_suggests_its_neighbour(write, tmp_path):
    write("{}", "uav.yaml")
    error = refusal(tmp_path / "uva.yaml")
    assert "no such recipe" in error.what and str(tmp_path / "uav.yaml") in error.fix


def test_a_directory_is_refused(tmp_path):
    assert "directory" in refusal(tmp_path).what


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_refused(write, text):
    assert "empty" in refusal(write(text)).what


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "a list"), ("42", "one single value")])
def test_a_top_level_that_is_no_mapping_is_refused(write, text, kind):
    assert kind in refusal(write(text)).what


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"title: \xff\xfe\x00")
    assert "0xff at offset 7" in refusal(path).what
    path.write_bytes(b"title: a\nb: \x00")
    assert refusal(path).where == f"{path}, line 2"


@pytest.mark.parametrize(
    ("text", "spot", "key"),
    [
        ("title: a\nstudent: {width: 3\n", "line 3, column 1", ""),
        ("title: a\n\tstudent: 3\n", "line 2, column 1", ""),
        ("title: !python/name:os.system x\n", "line 1, column 8", ": title"),
        ("title: a\n---\ntitle: b\n", "line 2, column 1", ""),
        ("student: &a {note: *a}\n", "line 1, column 10", None),
        ("title: a\ntrue: 3\n", "line 2, column 1", ""),
        ("title: a\nseed: 0x" + "f" * 5000, "line 2, column 7", ": seed"),
        ("title: a\nseed: " + "9" * 5000, "line 2, column 7", ": seed"),
        ('title: "\\ud800"', "line 1, column 8", ": title"),
        ("title: !!str 3\n", "line 1, column 8", ": title"),
        ("student: {width: !!int '3'}\n", "line 1, column 18", ": student.width"),
        ("student: !!set {a, b}\n", "line 1, column 10", ": student"),
        ("student: !!omap [a: 1]\n", "line 1, column 10", ": student"),
        ("by_task: {<<: [1]}\n", "line 1, column 16", ": by_task"),
    ],
)
def test_invalid_yaml_names_line_column_and_key(write, text, spot, key):
    path, where = write(text), refusal(write(text)).where
    if key is None:  # an anchor that holds itself: as deep as is looked
        key = ": student" + ".note" * (where.count(".note"))
        assert len(where) < 300 and where.count(".note") > 20
    assert where == f"{path}, {spot}{key}"


def test_a_boolean_key_asks_for_quotes(write):
    assert "'true' as a key means True in YAML" in refusal(write("true: 3")).what


def test_yaml_is_1_2_where_1_1_reads_something_else(write):
    text = "title: on\nstudent: {size: [0100, 0144]}\ndata: {kind: folder, root: 1:30, classes: {no: [yes, off]}}\n"
    recipe = load_recipe(Toy, write(text))
    assert (recipe.title, recipe.student.size) == ("on", (100, 144))
    assert recipe.data == Folder(kind="folder", root=Path("1:30"), classes={"no": ["yes", "off"]})
    error = refusal(write("student: {ema: Yes}"))
    assert error.what == 'student.ema is "Yes", but should be true or false' and error.fix == "write true"
    assert refusal(write("student: {ema: off}")).fix == "write false"


def test_aliases_that_multiply_are_refused_in_time(write):
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    began = time.process_time()
    error = refusal(write("\n".join(["a0: &a0 [x]", *rows])))
    assert "values" in error.what and "aliases" in error.what and ", line " in error.where
    assert time.process_time() - began < 5
    few = load_recipe(Toy, write("data: {kind: folder, root: a, classes: {a: &a [x], b: *a, c: *a}}"))
    assert few.data.classes == {"a": ["x"], "b": ["x"], "c": ["x"]}


@pytest.mark.parametrize("levels", [33, 300, 3000])
@pytest.mark.parametrize("bracket", ["[", "{a: "])
def test_deep_nesting_is_refused(write, levels, bracket):
    close = "]" if bracket == "[" else "}"
    error = refusal(write("title: " + bracket * levels + close * levels))
    assert "not valid YAML" in error.what and "nest" in error.what


def test_many_unknown_keys_are_told_in_time(write):
    began = time.process_time()
    error = refusal(write("titel: x\n" + "".join(f"key_number_{i}: {i}\n" for i in range(10_000))))
    assert "the recipe has 10001 problems" in error.what and "did you mean 'title'?" in error.what
    assert "more" in error.what and error.what.count("\n") < 200
    assert "at most 262,144 are read" in refusal(write("a: 3\n" * 200_000)).what
    assert time.process_time() - began < 20


def test_a_repeated_key_is_refused_at_any_depth(write):
    path = write("student:\n  width: 3\n  ema: true\n  width: 4\n")
    error = refusal(path)
    assert error.where == f"{path}, line 4: student.width"
    assert error.what == f"the key 'width' is written twice, first at {path}, line 2"


def test_merge_keys_are_not_repeated_keys(write):
    text = "teacher:\n  members:\n    - &a {family: wide, width: 3}\n    - &b {<<: *a, width: 4}\n    - *b\n"
    members = load_recipe(Toy, write(text)).teacher.members
    assert [(m.family, m.width) for m in members] == [("wide", 3), ("wide", 4), ("wide", 4)]


# -- extends


def test_extends_merges_mappings_and_replaces_lists(write):
    write("title: base\nteacher: {epochs: 9, members: [{width: 1}, {width: 2}]}\nstudent: {width: 8}", "deep/base.yaml")
    write("extends: deep/base.yaml\nstudent: {name: middle}", "middle.yaml")
    path = write("extends: ../middle.yaml\nteacher: {members: [{width: 3}]}", "top/r.yaml")
    recipe = load_recipe(Toy, path)
    assert recipe.title == "base"
    assert recipe.teacher == Teacher(epochs=9, members=[Member(width=3)])
    assert recipe.student == Student(name="middle", width=8)


def test_a_problem_names_the_file_of_the_chain_that_wrote_it(write, tmp_path):
    write("student:\n  widht: 3\n  ema: 3", "base.yaml")
    error = refusal(write("extends: base.yaml\nteacher: {}\nstudent: {ema: 4, decay: 0}"))
    assert f"{tmp_path / 'base.yaml'}, line 2: student.widht" in str(error)
    assert f"{tmp_path / 'r.yaml'}, line 3: student.ema" in str(error)
    assert f"{tmp_path / 'r.yaml'}, line 3: student.decay" in str(error)
    assert "student.ema is 4" in str(error) and "is 3" not in str(error)


def test_another_kind_of_data_replaces_that_of_the_base(write):
    write("data: {kind: scenes, frames: 3}\nstudent: {width: 3}", "base.yaml")
    recipe = load_recipe(Toy, write("extends: base.yaml\ndata: {kind: folder, root: x}"))
    assert recipe.data == Folder(kind="folder", root=Path("x"))
    assert load_recipe(Toy, write("extends: base.yaml\ndata: {kind: scenes}")).data.frames == 3


def test_a_circle_of_extends_names_the_chain(write, tmp_path):
    a, b = write("extends: b.yaml", "a.yaml"), write("title: b\nextends: ./a.yaml", "b.yaml")
    error = refusal(a)
    assert f"{a} -> {b} -> {a}" in error.what
    assert error.where == f"{b}, line 2: extends"
    assert "circle" in refusal(write("extends: r.yaml")).what


def test_a_missing_base_names_the_file_that_extends(write, tmp_path):
    path = write("title: a\nextends: no.yaml")
    error = refusal(path)
    assert str(tmp_path / "no.yaml") in error.what and error.where == f"{path}, line 2: extends"


def test_extends_must_be_a_path(write):
    assert "'extends' is [1]" in refusal(write("extends: [1]")).what


# -- dump and hash


def test_dump_is_in_schema_order_and_complete(write):
    text = dump(load_recipe(Toy, write("student: {width: 3}\ntitle: x")))
    assert [line.split(":")[0] for line in text.splitlines() if line[0] not in " -"] == list(Toy.model_fields)
    assert "  decay: 0.99\n" in text


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.sampled_from(["on", "1e-3", "2020-01-01", "null", "0x1F", "1:30", "~", "=", "<<", "- a", "a: b", "1_0"])
numbers = st.floats(1e-12, 1 - 1e-9)
members = st.builds(Member, width=st.integers(1, 64))
toys = st.builds(
    Toy,
    title=texts | scalars,
    data=st.builds(
        Folder,
        kind=st.just("folder"),
        root=st.just(Path("a b")),
        labelled=numbers | st.just("all"),
        classes=st.dictionaries(texts | scalars, st.lists(texts | scalars, max_size=2), max_size=3),
    ),
    teacher=st.builds(Teacher, members=st.lists(members, max_size=3)),
    student=st.builds(Student, decay=numbers, size=st.none() | st.just((3, 4)), note=st.none() | members),
)


@given(toys)
def test_what_dump_writes_load_reads_back(tmp_path_factory, toy):
    path = tmp_path_factory.getbasetemp() / "roundtrip.yaml"
    path.write_text(dump(toy), encoding="utf-8")
    assert load_recipe(Toy, path) == toy


def test_the_hash_depends_on_values_and_not_on_spelling(write):
    one = load_recipe(Toy, write("student: {width: 3, ema: true}\ntitle: toy"))
    two = load_recipe(Toy, write("title: 'toy'\nstudent:\n  width: 0x3\n"))
    assert recipe_hash(one) == recipe_hash(two)
    assert len(recipe_hash(one)) == 10 and int(recipe_hash(one), 16) >= 0
    assert recipe_hash(one) != recipe_hash(load_recipe(Toy, write("student: {width: 4}")))
    assert recipe_hash(one) != recipe_hash(one, "weights") != recipe_hash(one, "weight", "s")


def test_the_hash_sees_the_order_of_classes_and_not_that_of_a_set():
    assert recipe_hash({"a": [1], "b": [2]}) != recipe_hash({"b": [2], "a": [1]})
    assert recipe_hash({"x": {"one", "two", "three"}}) == recipe_hash({"x": {"three", "two", "one"}})


def test_the_hash_stays_the_same_across_versions():
    canonical = b'[{"must":1,"sub":null},"x"]'
    assert recipe_hash(Needy(must=1), "x") == hashlib.sha256(canonical).hexdigest()[:10]
