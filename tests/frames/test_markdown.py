"""A name with a bar in it stays in its cell, in every table that is written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.evaluate.table import markdown_table
from edgekit.export.card import _table
from edgekit.frames.markdown import cell


def split(line: str) -> list[str]:
    """The cells of a row, as GitHub's Markdown has them: a bar ends a cell unless a backslash escapes it."""
    inner = line.strip().removeprefix("|").removesuffix("|")
    cells = re.findall(r"(?:\\.|[^|\\])+", inner)
    return [re.sub(r"\\(.)", r"\1", found).strip() for found in cells]


@given(st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "N", "Zs", "Cc")), min_size=1, max_size=12))
def test_a_cell_is_one_cell_and_says_what_it_did(text):
    shown = " ".join(text.split())
    if shown:
        assert split(f"| {cell(text)} | x |") == [shown, "x"]


@pytest.mark.parametrize("write", [markdown_table, lambda header, rows: _table(header, rows)])
@pytest.mark.parametrize("name", ["a|b", "|", "a||b|", "a\\|b", "two\nlines", "路|水"])
def test_tables_keep_their_columns(write, name):
    header, rule, *rows = write(["model", name, "sky"], [["student", "1.0", "2.0"], [name, "3.0", "4.0"]]).splitlines()
    shown = " ".join(name.split())
    assert split(header) == ["model", shown, "sky"] and len(rule.strip("|").split("|")) == 3
    assert [split(row) for row in rows] == [["student", "1.0", "2.0"], [shown, "3.0", "4.0"]]
