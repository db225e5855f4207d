"""docs/boards.md says what the data file says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgekit.boards.table import table

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("boards_page", ROOT / "tools" / "boards_page.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run: python tools/boards_page.py"
    assert all(f"`{name}`" in tool.page() for name in table().boards)
