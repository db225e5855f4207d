"""`edgekit recipe show` and `edgekit recipe check`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import allow_code_option, recipe_argument, set_option
from edgekit.cli.output import json_option, print_json, print_rich


@click.group("recipe", epilog="Example: edgekit recipe check recipes/uav.yaml")
def command() -> None:
    """Print a resolved recipe, or check it and the data behind it."""


@command.command("show", epilog="Example: edgekit recipe show recipes/uav.yaml --set student.width=32")
@recipe_argument
@set_option
@json_option
def show(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print RECIPE with its `extends` chain, its --set overrides and all defaults resolved, as YAML."""
    from edgekit.recipe.load import dump, load_model
    from edgekit.recipe.schema import Recipe

    model = load_model(Recipe, recipe, overrides)
    if as_json:
        print_json(model.model_dump(mode="json", by_alias=True))
    else:
        click.echo(dump(model), nl=False)


@command.command(
    "check", epilog="Example: edgekit recipe check recipes/semantic_drone.yaml --set data.on_bad_file=skip"
)
@recipe_argument
@set_option
@allow_code_option
@json_option
def check(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check RECIPE and read the data behind it: counts, pixel share per class, missing tasks, bad files."""
    from edgekit.pipeline.workbench import check_data
    from edgekit.recipe.load import load_model
    from edgekit.recipe.schema import Recipe

    report = check_data(load_model(Recipe, recipe, overrides), recipe.parent)
    if as_json:
        print_json(report.to_json())
    else:
        print_rich(report.table())
