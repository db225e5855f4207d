"""The size of frames, as it is written."""

from __future__ import annotations

import re

from edgekit.errors import EdgekitError

_LEAST_SIDE = 16


def parse_size(text: str, where: str = "--size", *, most: int = 9999) -> tuple[int, int]:
    """``"544x960"`` → (544, 960), height and width. EdgekitError for anything else, or sides not of 16 to ``most``."""
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text, re.ASCII)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(_LEAST_SIDE <= side <= most for side in size):
        fix = f"write HEIGHTxWIDTH, e.g. 544x960, each {_LEAST_SIDE} to {most}"
        raise EdgekitError(f"'{text}' is not a size", where=where, fix=fix)
    return size
