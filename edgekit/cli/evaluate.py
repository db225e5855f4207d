"""`edgekit evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import allow_code_option
from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit evaluate runs/uav-1a2b3c4d5e --split test")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--split", default=None, help="Split of the run's data; default: the recipe's evaluate.split.")
@allow_code_option
@json_option
def command(run: Path, split: str | None, as_json: bool) -> None:
    """Score the single teacher, the ensemble and the students of RUN on a split, and draw what they say."""
    from edgekit.cli.scores import score_tables
    from edgekit.pipeline.run import Run, evaluate_run

    opened = Run.open(run)
    result = evaluate_run(opened, split or opened.recipe.evaluate.split)
    if as_json:
        print_json(result)
    else:
        print_rich(*score_tables(opened.recipe.name, result))
        click.echo("\n".join([f"table     {result['table']}", *(f"picture   {p}" for p in result["pictures"])]))
