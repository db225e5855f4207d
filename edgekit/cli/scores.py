"""Score tables for the terminal, from a result's JSON and the tables a run has written."""

from __future__ import annotations

from typing import Any

from edgekit.frames.terminal import rich_table


def score_tables(title: str, result: dict[str, Any]) -> list[Any]:
    """Rich tables: one per task (a wide one would wrap), and the retention."""
    tables: list[Any] = []
    for name, (header, rows) in result["cells"].items():
        tables.append(rich_table(f"{title}: {name} on {result['split']}", header, rows, right=header[1:]))
    if result["retention"]:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in result["retention"].items())
        tables.append(f"the student keeps of the ensemble: {shares}\n")
    return tables
