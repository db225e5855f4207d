"""`edgekit students`."""

from __future__ import annotations

import click

from edgekit.cli.options import Threads
from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit students --size 544x960")
@click.option("--size", default="544x960", show_default=True, metavar="HxW", help="Input size to count and time at.")
@click.option("--classes", default=8, show_default=True, type=click.IntRange(2, 254), help="Classes of the head.")
@click.option("--threads", default=1, show_default=True, type=Threads(), help="CPU threads to time with.")
@json_option
def command(size: str, classes: int, threads: int, as_json: bool) -> None:
    """List the students: parameters, multiply-adds at a size, CPU latency (median, PyTorch fp32, batch 1)."""
    from edgekit.students.listing import list_students, parse_size

    rows = list_students(parse_size(size), classes, threads)
    if as_json:
        print_json({"size": size, "classes": classes, "threads": threads, "students": rows})
        return
    from rich.table import Table

    table = Table(title=f"students at {size}, {classes} classes, {threads} thread(s)", title_justify="left")
    for column in ("name", "family", "parameters", "fused", "GMAC", "latency ms", "about"):
        table.add_column(column, justify="left" if column in ("name", "family", "about") else "right")
    for row in rows:
        table.add_row(
            row["name"],
            row["family"],
            f"{row['parameters']:,}",
            f"{row['parameters_fused']:,}",
            f"{row['multiply_adds'] / 1e9:.2f}",
            f"{row['latency_ms']:.1f}",
            row["about"],
        )
    print_rich(table)
