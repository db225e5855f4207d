"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

recipe_argument = click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE")

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one recipe key, e.g. --set student.width=32 or --set teacher.members.0.width=8; repeatable.",
)
