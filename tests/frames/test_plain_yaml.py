"""YAML from anyone: plain values, or one sentence."""

from __future__ import annotations

import re

import pytest

from edgekit.errors import EdgekitError
from edgekit.frames.plain_yaml import read_yaml


def test_plain_values(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [1, 2.5, true, null, x]\nb: {c: 'd', 3: e}\n")
    assert read_yaml(path, fix="") == {"a": [1, 2.5, True, None, "x"], "b": {"c": "d", 3: "e"}}
    path.write_text("")
    assert read_yaml(path, fix="") is None
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yaml", fix="")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x", "line 2: .*aliases"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']", "line 2: .*tags"),
        ("a: !!str x", "line 1: .*tags"),
        ("a: !own {}", "line 1: .*tags"),
        ("a: 2020-13-45", "month must be in 1..12"),
        (f"a: {'9' * 5000}", "4300"),
        ("a: [\n", "line 2"),
        ("? [a]\n: b", "unhashable"),
        ("a: " + "[" * 40 + "]" * 40, "32 levels"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("- 1\n" * 50_001, "50,000 values"),
        ('a: "\\ud800"', "half a character"),
        ("a: b\0c", "no YAML"),
        ("a: b: c", "line 1"),
        ("--- 1\n--- 2", "line 2"),
        ("x" * 300_000, "at most 262,144"),
    ],
)
def test_anything_else_is_told(tmp_path, text, said):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(EdgekitError) as caught:
        read_yaml(path, fix="correct it")
    message = f"{caught.value.where.partition(', ')[2]}: {caught.value.what}"
    assert re.search(said, message), message
    assert str(path) in caught.value.where and caught.value.fix.endswith("correct it")
