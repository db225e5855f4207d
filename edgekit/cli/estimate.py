"""`edgekit estimate`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from edgekit.cli.options import PRECISION
from edgekit.cli.output import json_option, print_json, print_rich
from edgekit.cli.student_options import graph_options
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit estimate repseg --board orin-nano-8gb --precision fp16")
@graph_options
@click.option("--precision", type=PRECISION, help="Of the layers listed; default: the graph's.")
@json_option
def command(as_json: bool, **options: Any) -> None:
    """Estimate how long a graph takes on a board's GPU: a roofline per kernel, not a measurement.

    Multiply-adds and bytes against the board's dense rates and bandwidth, and a launch per kernel. What it assumes and
    how far it may be off is printed below the table.
    """
    from edgekit.pipeline.preflight import estimates

    found, assumed = estimates(**options)
    if as_json:
        graphs = [{"graph": name, "estimates": [asdict(e) for e in of]} for name, of in found]
        print_json({"what": "an estimate, not a measurement", "estimate_assumptions": assumed, "graphs": graphs})
        return
    for name, of in found:
        _print(name, of)
    click.echo("\n".join(["An estimate, not a measurement. It assumes:", *(f"  - {line}" for line in assumed)]))


def _print(name: str, estimates) -> None:
    rows = [
        (
            layer.name,
            layer.ops,
            layer.precision,
            f"{layer.multiply_adds / 1e6:.1f}" if layer.multiply_adds else "",
            f"{layer.estimate_bytes / 1e6:.2f}",
            layer.bound,
            f"{1e3 * layer.estimate_ms:.0f}",
            f"{layer.share:.0%}",
        )
        for layer in estimates[0].layers
    ]
    title = f"estimate of {name} on {estimates[0].board}, {estimates[0].precision}"
    columns = ("layer", "operators", "in", "MMAC", "MB", "bound by", "estimate µs", "share")
    print_rich(rich_table(title, columns, rows, right=("MMAC", "MB", "estimate µs", "share")))
    for estimate in estimates:
        click.echo(
            f"{estimate.precision}: estimate {estimate.estimate_ms:.2f} ms "
            f"({estimate.estimate_least_ms:.2f} to {estimate.estimate_most_ms:.2f}), "
            f"{estimate.multiply_adds / 1e9:.2f} GMAC, {estimate.estimate_bytes / 1e6:.0f} MB moved, "
            f"{len(estimate.layers)} kernels"
            + (
                f" ({estimate.estimate_most_kernels} at worst)"
                if estimate.estimate_most_kernels != len(estimate.layers)
                else ""
            )
        )
