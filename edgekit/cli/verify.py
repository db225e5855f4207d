"""`edgekit verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgekit.cli.on_board import BoardCommand
from edgekit.cli.options import backend_options, bundle_argument
from edgekit.cli.output import json_option, print_json, print_rich
from edgekit.frames.terminal import rich_table


@click.command(cls=BoardCommand, epilog="Example: edgekit verify bundles/uav.tar --precision int8")
@bundle_argument
@backend_options
@json_option
@click.pass_context
def command(ctx: click.Context, bundle: Path, as_json: bool, **backend: Any) -> None:
    """Run BUNDLE on its golden frames and compare with the fp32 reference, within the tolerances of the export.

    Without --precision every precision that the lane has. Exit code 1: an output misses its tolerance.
    """
    from edgekit.bundle.bundle import open_bundle
    from edgekit.runtime.load import load, runnable_precisions
    from edgekit.runtime.verify import verify

    opened = open_bundle(bundle)
    described, checks = [], []
    precision = backend.pop("precision")
    named = precision or backend["engine"]
    for one in [precision] if named else runnable_precisions(opened, backend["backend"], backend["lane"]):
        with load(opened, precision=one, **backend) as predictor:
            described.append(predictor.describe())
            checks += verify(opened, predictor)
    holds = all(check.holds for check in checks)
    if as_json:
        document = {"bundle": str(bundle), "holds": holds, "ran": described}
        print_json({**document, "checks": [asdict(check) for check in checks]})
    else:
        title = f"{opened.manifest.name}: {opened.manifest.golden.count} golden frames against fp32"
        columns = ("artifact", "output", "measure", "found", "limit", "")
        print_rich(rich_table(title, columns, map(_cells, checks), right=("found", "limit")))
        for ran in described:
            click.echo(f"ran {ran['lane']}/{ran['precision']} by {ran['runtime']} on {ran['device']}")
        failed = sum(not check.holds for check in checks)
        click.echo(f"{failed} of {len(checks)} outputs miss their tolerance" if failed else "all outputs hold")
    if not holds:
        ctx.exit(1)


def _cells(check) -> tuple[Any, ...]:
    from rich.text import Text

    share = check.measure == "agreement"
    number = "{:.4%}".format if share else "{:.3g}".format
    found = "no finite number" if check.value is None else number(check.value)
    verdict = Text("holds", "green") if check.holds else Text("MISSES", "bold red")
    limit = f"{'≥' if share else '≤'} {number(check.limit)}"
    return check.artifact, check.output, "equal pixels" if share else "mean error", found, limit, verdict
