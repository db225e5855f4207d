"""Sizes as they are written."""

from __future__ import annotations

import pytest

from edgekit.errors import EdgekitError
from edgekit.frames.sizes import parse_size


@pytest.mark.parametrize(("text", "size"), [("544x960", (544, 960)), ("32×48", (32, 48)), ("16x9999", (16, 9999))])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "544", "544x", "x960", "5x9", "-32x48", "544x960x3", "544 x 960", "544.0x960", "0x0", "64x08", "16x10000"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(EdgekitError, match="is not a size"):
        parse_size(text)


def test_frames_may_be_larger_than_networks():
    assert parse_size("16384x16", "--frame-size", most=16384) == (16384, 16)
    with pytest.raises(EdgekitError, match="16385x16") as caught:
        parse_size("16385x16", "--frame-size", most=16384)
    assert caught.value.where == "--frame-size" and caught.value.fix.endswith("each 16 to 16384")
