"""Parts by name: edgekit's own and those of installed packages, of which nothing is imported before it is named."""

from __future__ import annotations

import os
import sys

import pytest

from edgekit.errors import EdgekitError
from edgekit.parts import Parts

OWN = {"near": 1, "far": 2}


@pytest.fixture
def table():
    return Parts("edgekit.tests", "number", OWN, base=int)


@pytest.fixture
def packages(install_package):
    """``packages(name, modules, points)``, of the tests' own entry-point group."""
    return lambda name, modules, points: install_package(name, modules, {"edgekit.tests": points})


def test_own_parts_are_there_without_any_package(table):
    assert dict(table) == OWN
    assert len(table) == 2 and "near" in table and "nowhere" not in table
    assert table.get("nowhere") is None and table.get("near") == 1
    assert table.origin("far") == ""


def test_an_installed_part_is_found_and_imported_only_when_it_is_named(table, packages):
    packages(
        "some-numbers",
        {"a.py": "SEVEN = 7", "b.py": "raise RuntimeError('imported')"},
        {"seven": "some_numbers.a:SEVEN", "broken": "some_numbers.b:X"},
    )
    assert list(table) == ["near", "far", "broken", "seven"]
    assert "seven" in table and len(table) == 4
    assert not any(module.startswith("some_numbers") for module in sys.modules)
    assert table["seven"] == 7
    assert "some_numbers.a" in sys.modules and "some_numbers.b" not in sys.modules
    assert table.origin("seven") == "some-numbers 1.0"


def test_an_unknown_name_lists_what_is_installed(table, packages):
    packages("some-numbers", {"a.py": "SEVEN = 7"}, {"seven": "some_numbers.a:SEVEN"})
    with pytest.raises(EdgekitError) as error:
        table["eight"]
    assert "unknown number 'eight'" in error.value.what
    assert error.value.fix == "use one of near, far, seven"
    assert "some_numbers.a" not in sys.modules


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_package_of_anybody", "ModuleNotFoundError: No module named 'no_such_package_of_anybody'"),
        ("1 / 0", "ZeroDivisionError"),
        ("OTHER = 1", "AttributeError"),
        ("PART = 'seven'", "is no instance of builtins.int"),
        ("PART = int", "is no instance of builtins.int"),
    ],
)
def test_a_part_that_cannot_be_used_names_its_package(table, packages, source, said):
    packages("bad-numbers", {"a.py": source}, {"seven": "bad_numbers.a:PART"})
    with pytest.raises(EdgekitError, match="the number 'seven'") as error:
        table["seven"]
    assert said in error.value.what
    assert error.value.where == "bad-numbers 1.0, entry point edgekit.tests: seven = bad_numbers.a:PART"


def test_a_table_of_classes_takes_subclasses_only(packages):
    packages(
        "classes",
        {"a.py": "class Good(dict): pass\nclass Bad(list): pass"},
        {"good": "classes.a:Good", "bad": "classes.a:Bad"},
    )
    table = Parts("edgekit.tests", "mapping", {}, base=dict, classes=True)
    assert issubclass(table["good"], dict)
    with pytest.raises(EdgekitError, match="is no subclass of"):
        table["bad"]


def test_an_own_part_is_not_replaced_and_two_packages_of_one_name_are_refused(table, packages):
    packages("first", {"a.py": "N = 10"}, {"near": "first.a:N", "ten": "first.a:N"})
    packages("second", {"a.py": "N = 11"}, {"ten": "second.a:N"})
    assert table["near"] == 1 and list(table) == ["near", "far", "ten"]
    with pytest.raises(EdgekitError, match="two packages offer the number 'ten'") as error:
        table["ten"]
    assert "first 1.0" in error.value.what and "second 1.0" in error.value.what


def test_own_parts_given_by_address_are_imported_when_asked_for():
    table = Parts("edgekit.tests", "thing", {"join": "os.path:join"}, base=object)
    assert "join" in table and table["join"] is os.path.join
