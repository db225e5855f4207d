"""Files and JSON from anyone: bounded, regular, checked; a refusal is one sentence and takes no time."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.outside import open_regular, parse_json, read_bytes, read_json, read_text

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


@given(values)
def test_a_document_is_read_as_it_is(document):
    for ascii_only in (True, False):
        assert parse_json(json.dumps(document, ensure_ascii=ascii_only), where="x") == document


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[1,]", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        ("NaN", "NaN is no number"),
        ('{"a": [-Infinity]}', "no number"),
        ("1e999", "too large"),
        ("[-1e400]", "too large"),
        ("9" * 400, "too large"),
        ("-" + "9" * 5000, "too large"),
        (str(2**63 + 1), "too large"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        (r'{"a": "\ud800"}', "half a character"),
        (r'{"\udfff": 1}', "half a character"),
        ("[" * 100_000, "nested deeper"),
        ("[" * 100_000 + "]" * 100_000, "nested deeper"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested deeper"),
    ],
)
def test_what_would_surprise_is_refused(text, said):
    with pytest.raises(EdgekitError, match=said) as caught:
        parse_json(text, where="the/manifest.json", what="the manifest", fix="export again")
    error = caught.value
    assert (error.where, error.fix) == ("the/manifest.json", "export again") and len(error.what) < 300
    assert error.what.startswith("the manifest ")
    str(error).encode()


def test_the_deepest_that_is_allowed_is_read():
    text = "[" * limits.JSON_LEVELS + "]" * limits.JSON_LEVELS
    assert json.dumps(parse_json(text, where="x")) == text


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + '["é"]'.encode())
    assert read_text(path) == '["é"]' and read_bytes(path, most=9) == path.read_bytes()
    with pytest.raises(EdgekitError, match="9 bytes, and at most 8"):
        read_bytes(path, most=8)
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing")
    path.write_bytes(b"a\xffb")
    with pytest.raises(EdgekitError, match=r"not UTF-8 text .byte 0xff at offset 1"):
        read_text(path)


def test_folders_devices_pipes_and_holes_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "hole", "wb") as file:
        file.truncate(20 << 30)
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    began = time.monotonic()
    for name, said in (
        ("fifo", "a device or a pipe"),
        ("hole", "21,474,836,480 bytes"),
        ("link", "a device or a pipe"),
        ("", "a folder"),
        ("loop", "cannot be read"),
        ("nul\0", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ):
        for read in (read_bytes, read_json, read_text, open_regular):
            with pytest.raises(EdgekitError, match=said) as caught:
                read(tmp_path / name)
            assert caught.value.where and caught.value.fix and len(caught.value.where) <= 300
    for device in ("/dev/zero", "/dev/tty"):
        if Path(device).exists():
            with pytest.raises(EdgekitError):
                read_bytes(device)
    assert time.monotonic() - began < 2


@given(st.floats())
def test_only_finite_numbers_pass(value):
    text = json.dumps([value])
    if math.isfinite(value):
        assert parse_json(text, where="x") == [value]
    else:
        with pytest.raises(EdgekitError):
            parse_json(text, where="x")
