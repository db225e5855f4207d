"""`edgekit report`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import PATH
from edgekit.cli.output import answer, json_option


@click.command(epilog="Example: edgekit report runs/uav-1a2b3c4d5e --out uav.html")
@click.argument("runs", type=PATH, metavar="RUN...", nargs=-1, required=True)
@click.option("--out", type=PATH, default="report.html", show_default=True, help="The page that is written.")
@json_option
def command(runs: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Write one HTML page about RUN: scores, requirements, pictures, curves of every stage, times, the recipe.

    The page is one file and loads nothing from elsewhere. Of several runs it also shows how each differs from the
    first.
    """
    from edgekit.frames.files import write_text
    from edgekit.report.run import read_run, run_page

    write_text(out, run_page([read_run(run) for run in runs]))
    answer(as_json, {"page": str(out), "runs": [str(run) for run in runs]}, f"page      {out}")
