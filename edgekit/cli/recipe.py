"""`edgekit recipe list`, `copy`, `show` and `check`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import PATH, allow_code_option, recipe_argument, set_option
from edgekit.cli.output import answer, json_option, print_json, print_rich


@click.group("recipe", epilog="Example: edgekit recipe check recipes/uav.yaml")
def command() -> None:
    """List and copy the recipes that come with edgekit; print one resolved; check it and the data behind it."""


@command.command("list", epilog="Example: edgekit recipe list")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with edgekit. Commands take these names in place of a file."""
    from edgekit.recipe.shipped import about, folder, shipped_recipes

    rows = [{"name": name, "file": str(folder() / f"{name}.yaml"), "about": about(name)} for name in shipped_recipes()]
    answer(as_json, {"recipes": rows}, "\n".join(f"{row['name']:<20} {row['about']}" for row in rows))


@command.command("copy", epilog="Example: edgekit recipe copy uav --out experiments")
@click.argument("name")
@click.option("--out", type=PATH, default=".", help="Folder; default: the current one.")
@json_option
def copy_recipe(name: str, out: Path, as_json: bool) -> None:
    """Copy the recipe NAME that comes with edgekit, and those that it extends, to change them."""
    from edgekit.recipe.shipped import copy

    files = [str(file) for file in copy(name, out)]
    answer(as_json, {"files": files}, "\n".join(files))


@command.command("show", epilog="Example: edgekit recipe show recipes/uav.yaml --set student.width=32")
@recipe_argument
@set_option
@json_option
def show(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print RECIPE with its `extends` chain, its --set overrides and all defaults resolved, as YAML."""
    from edgekit.recipe.load import dump, find_recipe

    model, _ = find_recipe(recipe, overrides)
    answer(as_json, model.model_dump(mode="json", by_alias=True), lambda: click.echo(dump(model), nl=False))


@command.command(
    "check", epilog="Example: edgekit recipe check recipes/semantic_drone.yaml --set data.on_bad_file=skip"
)
@recipe_argument
@set_option
@allow_code_option
@json_option
def check(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check RECIPE and read the data behind it: counts, pixel share per class, missing tasks, bad files."""
    from edgekit.pipeline.fit import fewer_maskings
    from edgekit.pipeline.scales import describe_scales
    from edgekit.pipeline.workbench import check_data
    from edgekit.recipe.load import find_recipe

    model, base = find_recipe(recipe, overrides)
    (report, resolved), data = check_data(model, base), model.data
    if as_json:
        scales = {
            "student": resolved.student.input_scale,
            "teachers": resolved.teacher.train.augment.scale,
            "ensemble": resolved.ensemble.scales,
        }
        more = {"scales": scales, "maskings": fewer_maskings(resolved), "licence": data.licence}
        print_json({**report.to_json(), **more, "attribution": data.attribution})
    else:
        print_rich(report.table())
        click.echo(describe_scales(resolved))
        click.echo(f"Licence of the data: {data.licence or 'not stated (data.licence)'}")
        if data.attribution:
            click.echo(f"Attribution: {data.attribution}")
