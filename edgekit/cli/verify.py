"""`edgekit verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgekit.cli.options import backend_options, bundle_argument
from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit verify bundles/uav.tar --precision int8")
@bundle_argument
@backend_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    backend: str | None,
    lane: str | None,
    precision: str | None,
    threads: int | None,
    engine: Path | None,
    as_json: bool,
) -> None:
    """Replay the golden frames of BUNDLE and compare with the fp32 reference, within the tolerances of the export.

    Without --precision every precision that the lane has. Exit code 1 where an output misses its tolerance.
    """
    from edgekit.bundle.bundle import open_bundle
    from edgekit.runtime.load import load, runnable
    from edgekit.runtime.verify import verify

    opened = open_bundle(bundle)
    described, checks = [], []
    for one in [precision] if precision or engine else runnable(opened, backend, lane):
        with load(opened, backend, one, threads, lane=lane, engine=engine) as predictor:
            described.append(predictor.describe())
            checks += verify(opened, predictor)
    holds = all(check.holds for check in checks)
    if as_json:
        print_json(
            {"bundle": str(bundle), "holds": holds, "ran": described, "checks": [asdict(check) for check in checks]}
        )
    else:
        print_rich(_table(opened.manifest.name, opened.manifest.golden.count, checks))
        for ran in described:
            click.echo(f"ran {ran['lane']}/{ran['precision']} by {ran['runtime']} on {ran['device']}")
        failed = sum(not check.holds for check in checks)
        click.echo("all outputs hold" if holds else f"{failed} of {len(checks)} outputs miss their tolerance")
    if not holds:
        ctx.exit(1)


def _table(name: str, frames: int, checks: list):
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{name}: {frames} golden frames against fp32", title_justify="left")
    for column in ("artifact", "output", "measure", "found", "limit", ""):
        table.add_column(column, justify="right" if column in ("found", "limit") else "left")
    for check in checks:
        share = check.measure == "agreement"
        form = "{:.4%}".format if share else "{:.3g}".format
        found = "not a number" if check.value is None else form(check.value)
        verdict = Text("holds", "green") if check.holds else Text("MISSES", "bold red")
        measure = "equal pixels" if share else "mean error"
        limit = f"{'≥' if share else '≤'} {form(check.limit)}"
        table.add_row(check.artifact, check.output, measure, found, limit, verdict)
    return table
