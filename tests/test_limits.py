"""The table of limits in SECURITY.md, against the numbers that hold."""

from __future__ import annotations

import re
from pathlib import Path

from edgekit import limits

SECURITY = (Path(__file__).parents[1] / "SECURITY.md").read_text(encoding="utf-8")
UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}  # not limits themselves


def size(count: int) -> str:
    for unit, name in ((limits.GB, "GiB"), (limits.MB, "MiB"), (limits.KB, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    raise AssertionError(count)


ROWS = {
    "a recipe": [size(limits.RECIPE_BYTES), f"{limits.RECIPE_VALUES:,} values", f"{limits.RECIPE_LEVELS} levels"],
    "a regular expression": [f"{limits.PATTERN_CHARACTERS} characters", f"{limits.PATTERN_SECONDS:g} s"],
    "a JSON document": [size(limits.JSON_BYTES), f"{limits.JSON_LEVELS} levels", "2⁶³"],
    "a suite": [f"{limits.SUITE_CELLS:,} combinations", size(limits.ROWS_BYTES)],
    "a class table": [size(limits.TEXT_BYTES)],
    "a file of labels": [
        size(limits.LABELS_BYTES),
        f"{limits.DRAWN_PIXELS // 10**6:,} million pixels",
        f"{limits.OUTLINE_ROWS // 10**6} million rows",
    ],
    "a student": [size(limits.MOST_BYTES), f"{limits.CHECKPOINT_MEMBERS:,} tensors"],
    "a file of a run's own stages": [size(limits.CHECKPOINT_BYTES)],
    "a name": [f"{limits.NAME_BYTES} bytes"],
    "a picture": [f"{limits.MOST_PIXELS // 10**6} million pixels"],
    "the arrays": [size(limits.ARRAY_BYTES), f"{limits.ARRAY_HEADER:,} bytes"],
    "any other file": [size(limits.MOST_BYTES)],
    "a bundle's archive": [size(limits.ARCHIVE_BYTES), f"{limits.ARCHIVE_MEMBERS:,} members"],
    "a graph": [size(limits.GRAPH_BYTES), f"{limits.GRAPH_NODES:,} nodes", size(limits.GRAPH_CONSTANT)],
    "what a graph keeps": [size(limits.GRAPH_MEMORY), "10¹³ multiply-adds"],
    "a network's input": [
        f"{limits.SIDE:,}",
        f"{limits.MODALITY_CHANNELS} channels",
        f"{limits.BATCH} frames",
        size(limits.TENSOR_BYTES),
    ],
}
SAID_OTHERWISE = {"GRAPH_WORK": 10**13, "JSON_LARGEST": 2**63}


def test_the_table_says_the_numbers_that_hold():
    table = SECURITY.partition("## Limits")[2].partition("\n## ")[0]
    rows = [line.partition(" | ") for line in table.splitlines() if line.startswith("| ")]
    for begins, numbers in ROWS.items():
        (row,) = [most for what, _, most in rows if what.startswith(f"| {begins}")]
        assert [number for number in numbers if number not in row] == [], begins
    assert len(rows) == len(ROWS) + 1  # and the heading
    assert all(getattr(limits, name) == value for name, value in SAID_OTHERWISE.items())


def test_every_limit_is_in_it():
    source = Path(__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"limits\.([A-Z_]+)", source)) | SAID_OTHERWISE.keys() | UNITS.keys()
    assert {name for name in vars(limits) if name.isupper()} == named
