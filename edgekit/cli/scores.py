"""Score tables for the terminal, from a result's JSON and the tables a run has written."""

from __future__ import annotations

from typing import Any


def score_tables(title: str, result: dict[str, Any]) -> list[Any]:
    """Rich tables: one per task (a wide one would wrap), and the retention."""
    from rich.table import Table

    out: list[Any] = []
    for name, (header, rows) in result["cells"].items():
        table = Table(title=f"{title}: {name} on {result['split']}", title_justify="left")
        for i, column in enumerate(header):
            table.add_column(column, justify="right" if i else "left")
        for row in rows:
            table.add_row(*row)
        out.append(table)
    if result["retention"]:
        said = ", ".join(f"{name} {share:.1%}" for name, share in result["retention"].items())
        out.append(f"the student keeps of the ensemble: {said}\n")
    return out
