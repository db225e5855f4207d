"""A name with a bar in it stays in its cell, in every table that is written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from edgekit.evaluate.table import markdown_table
from edgekit.export.card import _table
from edgekit.frames.markdown import code, escaped


def split(line: str) -> list[str]:
    """The cells of a row, as GitHub's Markdown has them: a bar ends a cell unless a backslash escapes it."""
    inner = line.strip().removeprefix("|").removesuffix("|")
    cells = re.findall(r"(?:\\.|[^|\\])+", inner)
    return [re.sub(r"\\(.)", r"\1", found).strip() for found in cells]


@given(st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "N", "Zs", "Cc")), min_size=1, max_size=12))
def test_a_cell_is_one_cell_and_says_what_it_did(words):
    shown = " ".join(words.split())
    if shown:
        assert split(f"| {escaped(words)} | x |") == [shown, "x"]


@pytest.mark.parametrize("write", [markdown_table, lambda header, rows: _table(header, rows)])
@pytest.mark.parametrize("name", ["a|b", "|", "a||b|", "a\\|b", "two\nlines", "路|水"])
def test_tables_keep_their_columns(write, name):
    header, rule, *rows = write(["model", name, "sky"], [["student", "1.0", "2.0"], [name, "3.0", "4.0"]]).splitlines()
    shown = " ".join(name.split())
    assert split(header) == ["model", shown, "sky"] and len(rule.strip("|").split("|")) == 3
    assert [split(row) for row in rows] == [["student", "1.0", "2.0"], [shown, "3.0", "4.0"]]


PARSER = MarkdownIt("commonmark").enable("table")
WORDS = st.text(
    st.one_of(st.sampled_from("<>[]()!`*_~|\\&;:#-/ab \n"), st.characters(codec="utf-8", exclude_characters="\0")),
    max_size=20,
)


def inline(source: str) -> list:
    """What a parser of CommonMark finds in a paragraph."""
    (_, paragraph, _) = PARSER.parse(source)
    return paragraph.children


@given(WORDS)
def test_escaped_words_are_text_and_nothing_else(words):
    found = inline(f"a {escaped(words)} z")
    assert {token.type for token in found} <= {"text", "text_special"}
    assert "".join(token.content for token in found).split() == ["a", *words.split(), "z"]


@given(WORDS)
def test_code_is_one_span_of_the_words(words):
    shown = " ".join(words.split()).replace("`", "'")
    if shown:
        found = inline(f"a {code(words)} z")
        assert [token.type for token in found] == ["text", "code_inline", "text"]
        assert found[1].content.split() == shown.split()
