"""`edgekit evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import PATH, allow_code_option, backend_options
from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit evaluate runs/uav-1a2b3c4d5e --split test")
@click.argument("what", type=PATH, metavar="RUN|BUNDLE")
@click.option("--split", help="Split of the recipe's data; default: its evaluate.split.")
@click.option("--recipe", type=PATH, help="For a bundle: recipe or run with the data; default: its own run.")
@backend_options
@allow_code_option
@json_option
def command(what: Path, as_json: bool, **options: Any) -> None:
    """Score the models of a run, or the files of a bundle, on a split.

    Of RUN: the single teacher, the ensemble and the students, with pictures. Of BUNDLE: one of its files as the device
    runs it (int8 where the bundle has it), with the fp32 file beside it.
    """
    from edgekit.api import evaluate
    from edgekit.cli.scores import score_tables

    result = evaluate(what, **options)
    if as_json:
        print_json(result.document)
        return
    print_rich(*score_tables(result.name, result.document))
    if result.table:
        click.echo("\n".join([f"table     {result.table}", *(f"picture   {path}" for path in result.pictures)]))
        return
    about = result.document
    if about["not_in_the_data"]:
        click.echo(f"not scored: {', '.join(about['not_in_the_data'])}, which the data does not have")
    click.echo(f"{about['frames']} frames of {about['recipe']}, each through the Predictor at its own size")
