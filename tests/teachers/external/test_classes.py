"""A teacher's classes in ours, by name."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.teachers.external.classes import class_matrix

OURS, THEIRS = ("land", "water", "sky"), ("sky", "river", "sea", "soil", "person")


def test_merging_by_name():
    merge = {"land": ["soil"], "water": ["river", "sea"], "sky": ["sky"]}
    found = class_matrix(OURS, THEIRS, merge, ["person"], "here")
    assert found.tolist() == [[0, 0, 0, 1, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 0]]


def test_the_same_names_in_another_order():
    found = class_matrix(OURS, ("sky", "land", "water"), None, [], "here")
    assert np.array_equal(found @ np.array([10, 20, 30]), [20, 30, 10])


MISFITS = {
    "no class of our name": (None, [], "no class 'land'"),
    "ours misspelt": ({"land": ["soil"], "watre": []}, [], "no class 'watre'"),
    "ours forgotten": ({"land": ["soil"], "water": ["sea"]}, [], "'sky'"),
    "theirs misspelt": ({"land": ["soli"], "water": [], "sky": []}, [], "no class 'soli'"),
    "theirs twice": ({"land": ["sea"], "water": ["sea"], "sky": []}, [], "'sea' is used twice"),
    "merged and ignored": ({"land": ["sea"], "water": [], "sky": []}, ["sea"], "'sea' is used twice"),
    "theirs forgotten": ({"land": ["soil"], "water": ["sea", "river"], "sky": ["sky"]}, [], "'person' matches no"),
    "ignored misspelt": ({"land": ["soil"], "water": [], "sky": ["sky"]}, ["persn"], "no class 'persn'"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_misfit_names_the_class(case):
    merge, ignore, what = MISFITS[case]
    with pytest.raises(EdgekitError, match=what) as caught:
        class_matrix(OURS, THEIRS, merge, ignore, "teacher.external.0.outputs.semantic")
    assert caught.value.where.startswith("teacher.external.0.outputs.semantic.")


def test_a_class_twice_among_theirs():
    with pytest.raises(EdgekitError, match="'sea' stands twice"):
        class_matrix(OURS, ("sea", "sea"), None, [], "here")
