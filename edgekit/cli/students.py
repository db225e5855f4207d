"""`edgekit students`."""

from __future__ import annotations

import click

from edgekit.cli.options import Threads
from edgekit.cli.output import answer, json_option, print_rich
from edgekit.cli.student_options import size_option
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit students --size 544x960")
@size_option("Input size to count and time at.", default="544x960", show_default=True)
@click.option("--classes", default=8, show_default=True, type=click.IntRange(2, 254), help="Classes of the head.")
@click.option("--threads", default=1, show_default=True, type=Threads(), help="CPU threads to time with.")
@json_option
def command(size: tuple[int, int], classes: int, threads: int, as_json: bool) -> None:
    """List the students: parameters, multiply-adds at a size, CPU latency (median, PyTorch fp32, batch 1)."""
    from edgekit.students.listing import list_students

    rows = list_students(size, classes, threads)
    at = f"{size[0]}x{size[1]}"
    cells = [
        (
            row["name"],
            row["family"],
            f"{row['parameters']:,}",
            f"{row['parameters_fused']:,}",
            f"{row['multiply_adds'] / 1e9:.2f}",
            f"{row['latency_ms']:.1f}",
            row["about"],
        )
        for row in rows
    ]
    title = f"students at {at}, {classes} classes, {threads} thread(s)"
    numbers = ("parameters", "fused", "GMAC", "latency ms")
    table = rich_table(title, ("name", "family", *numbers, "about"), cells, right=numbers)
    document = {"size": at, "classes": classes, "threads": threads, "students": rows}
    answer(as_json, document, lambda: print_rich(table))
