"""`edgekit data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import PATH, allow_code_option, recipe_argument, set_option
from edgekit.cli.output import json_option, print_json


@click.group("data", epilog="Example: edgekit data convert recipes/uav.yaml --out data/uav")
def command() -> None:
    """Convert a recipe's data to one npz per frame and task."""


@command.command(
    "convert",
    epilog="Example: edgekit data convert recipes/uav.yaml --out data/uav --rename semantic=semantic_segprop8",
)
@recipe_argument
@set_option
@click.option("--out", type=PATH, required=True, help="Folder of the sets; made if need be.")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Write this one; repeatable. Default: all stored.")
@click.option("--rename", multiple=True, metavar="TASK=FOLDER", help="Another name for a task's folder; repeatable.")
@click.option("--compress/--no-compress", default=True, show_default=True, help="Smaller files, or faster ones.")
@allow_code_option
@json_option
def convert(recipe: Path, overrides: tuple[str, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Write the frames of RECIPE in the layout of Dronescapes: OUT/train_set/rgb/NAME.npz and so on.

    The source `dronescapes` reads that layout, and so do other readers of it. After an interrupt the same command
    continues the conversion.
    """
    from edgekit.pipeline.conversion import convert_data
    from edgekit.recipe.find import find_recipe

    done = convert_data(*find_recipe(recipe, overrides), out, **options)
    if as_json:
        print_json(done)
        return
    sets = ", ".join(f"{count} in {name}" for name, count in done["frames"].items())
    lines = [f"skipped {bad['where']}: {bad['reason']}" for bad in done["bad_files"]]
    lines += [
        f"frames  {sets}",
        f"files   {done['written']} written, {done['kept']} there already, {done['bytes'] / 2**20:.1f} MiB",
        f"out     {done['out']}",
    ]
    click.echo("\n".join(lines))
