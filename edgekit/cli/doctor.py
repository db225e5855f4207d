"""`edgekit doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import PATH
from edgekit.cli.output import answer, json_option, print_rich
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit doctor --folder engines")
@click.option("--folder", type=PATH, default=".", show_default=True, help="Where engines would go.")
@json_option
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Check this machine: can it build engines, are its timings repeatable, and what to do where not.

    Exit code 1: an engine cannot be built here.
    """
    from edgekit.engine.doctor.diagnosis import diagnose
    from edgekit.engine.doctor.surroundings import look_around

    diagnosis = diagnose(look_around(folder))
    answer(as_json, diagnosis.to_json(), lambda: _print(diagnosis))
    if not diagnosis.can_build:
        ctx.exit(1)


_COLOURS = {"ok": "green", "note": "dim", "warning": "yellow", "problem": "bold red"}


def _print(diagnosis) -> None:
    from rich.text import Text

    rows = []
    for check in diagnosis.checks:
        meaning = Text(check.meaning)
        if check.fix and check.state != "ok":
            meaning.append(f"{chr(10) if check.meaning else ''}fix: {check.fix}", style="bold")
        rows.append((check.name, Text(check.value), Text(check.state, style=_COLOURS[check.state]), meaning))
    print_rich(rich_table("this machine", ("", "found", "", "what it means"), rows))
    if diagnosis.can_build:
        click.echo("engines can be built here")
        return
    click.echo(f"engines cannot be built here: {', '.join(check.name for check in diagnosis.problems)}")
    if diagnosis.can_run_on_cpu:
        click.echo("bundles can be run on the CPU here")
