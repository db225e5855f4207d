"""Class tables: the CSV file, merging by name, decoding."""

from __future__ import annotations

import time
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgekit.data.image_folder.class_table import ClassTable, read_class_dict
from edgekit.errors import EdgekitError
from edgekit.frames.images import read_label

OLD = {
    "unlabeled": (0, 0, 0),
    "dirt": (130, 76, 0),
    "grass": (0, 102, 0),
    "gravel": (112, 103, 87),
}
MERGE = {"green": ["grass"], "ground": ["dirt", "gravel"]}


def refusal(action, *args, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args, **options)
    return caught.value


@pytest.fixture
def csv(tmp_path):
    def csv(text: str):
        path = tmp_path / "class_dict.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return csv


def test_a_class_dict_is_read_with_spaces_header_and_empty_lines(csv):
    path = csv("\ufeffname, r, g, b\nunlabeled, 0, 0, 0\n\n dirt ,130,76 , 0\r\n")
    assert list(read_class_dict(path).items()) == list(OLD.items())[:2]


def test_a_header_is_optional_and_says_the_order(csv):
    assert read_class_dict(csv("dirt,130,76,0\n")) == {"dirt": OLD["dirt"]}
    assert read_class_dict(csv("B,G,R,Name\n0,76,130,dirt\n")) == {"dirt": OLD["dirt"]}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name,r,g,b\na,1,2\n", 2, "3 values instead of 4"),
        ("name,r,g,b\na,1,2,256\n", 2, "1, 2, 256"),
        ("a,1,2,x\n", 1, "1, 2, x"),
        ("a,1,2,-3\n", 1, "must be three numbers from 0 to 255"),
        ("a,1,2,3\nb,1,1,1\na,4,5,6\n", 3, "'a' is listed twice"),
        (",1,2,3\n", 1, "without a name"),
    ],
)
def test_a_bad_row_names_file_and_line(csv, text, line, what):
    path = csv(text)
    error = refusal(read_class_dict, path)
    assert error.where == f"{path}, line {line}" and what in error.what


def test_a_missing_or_empty_class_dict_is_refused(csv, tmp_path):
    assert "does not exist" in refusal(read_class_dict, tmp_path / "no.csv").what
    assert "empty" in refusal(read_class_dict, csv("name,r,g,b\n")).what
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8 text" in refusal(read_class_dict, path).what


def test_classes_merge_in_the_order_of_the_recipe():
    table = ClassTable(OLD, merge=MERGE, ignore=["unlabeled"], colours={"ground": (1, 2, 3)})
    assert table.classes == ("green", "ground")
    assert table.colours == ((0, 102, 0), (1, 2, 3))
    label = np.array([list(OLD.values())], np.uint8)
    assert table.decode(label, "x").tolist() == [[255, 1, 0, 1]]
    assert table.decode(np.array([[0, 1, 2, 3, 255]], np.uint8), "x").tolist() == [[255, 1, 0, 1, 255]]


def test_without_merging_every_class_stays_but_the_ignored():
    table = ClassTable(OLD, ignore=["dirt"])
    assert table.classes == ("unlabeled", "grass", "gravel")
    assert table.decode(np.array([[0, 1, 2, 3]], np.uint8), "x").tolist() == [[0, 255, 1, 2]]


def test_grey_class_colours_are_the_values_of_grey_labels():
    table = ClassTable({"back": (0, 0, 0), "house": (255, 255, 255)})
    assert table.decode(np.array([[0, 255]], np.uint8), "x").tolist() == [[0, 1]]
    assert "7 (1 pixels)" in refusal(table.decode, np.array([[7]], np.uint8), "x").what


@pytest.mark.parametrize(
    ("merge", "ignore", "where", "what", "fix"),
    [
        ({**MERGE, "x": ["gras"]}, ["unlabeled"], "data.classes.x", "no class 'gras'", "did you mean 'grass'?"),
        ({**MERGE, "x": ["qqqqq"]}, ["unlabeled"], "data.classes.x", "no class 'qqqqq'", "unlabeled, dirt, grass"),
        (MERGE, ["unlabled"], "data.ignore", "no class 'unlabled'", "did you mean 'unlabeled'?"),
        ({"green": ["grass"]}, [], "data.classes", "neither merged nor ignored: unlabeled, dirt, gravel", "ignore"),
        ({**MERGE, "x": ["grass"]}, ["unlabeled"], "data.classes.x", "'grass' is used twice", "once"),
        (MERGE, ["unlabeled", "dirt"], "data.ignore", "'dirt' is used twice", "once"),
    ],
)
def test_names_that_do_not_fit_are_refused(merge, ignore, where, what, fix):
    error = refusal(ClassTable, OLD, merge=merge, ignore=ignore, source="class_dict.csv")
    assert error.where == where and what in error.what and fix in error.fix


def test_a_class_of_nothing_or_no_class_at_all_is_refused():
    assert (
        "merged from no class"
        in refusal(ClassTable, {"unlabeled": (0, 0, 0)}, merge={"a": ["unlabeled"], "b": []}).what
    )
    assert "0 classes" in refusal(ClassTable, {"unlabeled": (0, 0, 0)}, ignore=["unlabeled"]).what


def test_a_colour_for_no_class_is_refused_with_the_nearest():
    error = refusal(ClassTable, OLD, merge=MERGE, ignore=["unlabeled"], colours={"gren": (0, 0, 0)})
    assert error.fix == "did you mean 'green'?" and error.where == "data.colours.gren"


def test_names_without_colours_need_all_colours_or_none():
    old = {"a": None, "b": None}
    assert ClassTable(old).colours == ()
    assert ClassTable(old, colours={"a": (1, 1, 1), "b": (2, 2, 2)}).colours == ((1, 1, 1), (2, 2, 2))
    assert "without a colour: b" in refusal(ClassTable, old, colours={"a": (1, 1, 1)}).what
    colours = np.array([[[1, 0, 0]]], np.uint8)
    assert "class_names has none" in refusal(ClassTable(old).decode, colours, "x").what


def test_values_that_were_saved_three_times_are_values(tmp_path):
    table = ClassTable({"a": None, "b": None})
    label = np.repeat(np.array([[0, 1, 255]], np.uint8)[..., None], 3, axis=-1)
    assert table.decode(label, "x").tolist() == [[0, 1, 255]]
    assert "7 (1 pixels)" in refusal(table.decode, np.full((1, 1, 3), 7, np.uint8), "x").what


def test_more_colours_than_a_label_has_values_merge_into_fewer_classes():
    old = {f"c{i}": (i // 256, i % 256, 7) for i in range(300)}
    table = ClassTable(old, merge={"even": list(old)[::2], "odd": list(old)[1::2]})
    label = np.array([list(old.values())], np.uint8)
    assert table.decode(label, "x").tolist() == [[i % 2 for i in range(300)]]
    assert table.decode(np.array([[0, 1, 254]], np.uint8), "x").tolist() == [[0, 1, 0]]
    error = refusal(ClassTable, old)
    assert "300 classes" in error.what and "254" in error.what and "merge" in error.fix


@pytest.mark.parametrize("of_table", ["NFC", "NFD"])
@pytest.mark.parametrize("of_recipe", ["NFC", "NFD"])
def test_names_in_two_forms_of_unicode_are_one(csv, of_table, of_recipe):
    table, recipe = (lambda text, form=form: unicodedata.normalize(form, text) for form in (of_table, of_recipe))
    old = read_class_dict(csv(table("Gebäude, 1, 1, 1\nStraße, 2, 2, 2\nGrün, 3, 3, 3\n")))
    merged = {recipe("fläche"): [recipe("Gebäude"), recipe("Straße")]}
    found = ClassTable(old, merge=merged, ignore=[recipe("Grün")], colours={table("fläche"): (9, 9, 9)})
    assert found.classes == (unicodedata.normalize("NFC", "fläche"),) and found.colours == ((9, 9, 9),)


def test_one_colour_cannot_be_two_classes():
    twins = {"a": (9, 9, 9), "b": (9, 9, 9)}
    assert "'a' and 'b' have one colour" in refusal(ClassTable, twins).what
    assert ClassTable(twins, merge={"ab": ["a", "b"]}).classes == ("ab",)


def test_an_unknown_colour_names_file_colour_count_and_first_pixel():
    table = ClassTable(OLD)
    label = np.zeros((4, 5, 3), np.uint8)
    label[2, 3] = label[3, 1] = (1, 2, 3)
    error = refusal(table.decode, label, "labels/7.png")
    assert error.where == "labels/7.png"
    assert error.what == "the label colour (1, 2, 3) is no class: 2 pixels, the first at x=3, y=2"
    label[0, 0] = (3, 2, 1)
    assert refusal(table.decode, label, "x").what.endswith("x=3, y=2; and 1 other colours in 1 pixels")


def test_values_outside_the_classes_are_listed():
    label = np.array([[0, 4, 4, 200]], np.uint8)
    error = refusal(ClassTable(OLD).decode, label, "labels/7.png")
    assert error.where == "labels/7.png" and "4 (2 pixels), 200 (1 pixels)" in error.what
    assert "data.ignore" in error.fix


@given(
    st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=20, unique=True),
    st.randoms(use_true_random=False),
)
def test_decoding_inverts_painting(colours, random):
    old = {f"c{i}": colour for i, colour in enumerate(colours)}
    index = np.array([[random.randrange(len(old)) for _ in range(7)] for _ in range(5)])
    painted = np.array(colours, np.uint8)[index]
    assert (ClassTable(old).decode(painted, "x") == index).all()


def test_decoding_is_fast():
    table = ClassTable(OLD)
    label = np.array(list(OLD.values()), np.uint8)[np.random.default_rng(0).integers(0, 4, (400, 600))]
    times = []
    for _ in range(10):
        start = time.perf_counter()
        table.decode(label, "x")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005


def test_the_white_of_a_one_bit_label_is_its_white(csv, tmp_path):
    table = ClassTable(read_class_dict(csv("no, 0, 0, 0\nyes, 255, 255, 255\n")))
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "b.png")
    assert table.decode(read_label(tmp_path / "b.png"), "b.png").tolist() == [[0, 1]]
