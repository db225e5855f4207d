"""`edgekit estimate`."""

from __future__ import annotations

import click

from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit estimate repseg --board orin-nano-8gb --precision fp16")
@click.argument("subject", metavar="ONNX|STUDENT|BUNDLE")
@click.option("--board", required=True, help="E.g. orin-nx-16gb; an unknown name lists them all.")
@click.option("--jetpack", default=None, help="E.g. 6.2; default: the newest that runs on the board.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default=None,
    help="Of the layers listed; default: the graph's.",
)
@click.option("--size", default=None, metavar="HxW", help="Frame size, where the graph leaves it open. [544x960]")
@click.option("--classes", default=None, type=click.IntRange(2, 254), help="Classes of a student's head. [8]")
@json_option
def command(
    subject: str,
    board: str,
    jetpack: str | None,
    precision: str | None,
    size: str | None,
    classes: int | None,
    as_json: bool,
) -> None:
    """Estimate how long a graph takes on a board's GPU: a roofline per kernel, not a measurement.

    Multiply-adds and bytes against the board's dense rates and bandwidth, and a launch per kernel. What it assumes and
    how far it may be off stands below the table.
    """
    from edgekit.boards import board as board_of
    from edgekit.boards import jetpack as jetpack_of
    from edgekit.pipeline.preflight import Question, estimates
    from edgekit.preflight.lint import target_of
    from edgekit.preflight.roofline import assumptions
    from edgekit.students.listing import parse_size

    target = target_of(board_of(board), jetpack_of(jetpack) if jetpack else None, dla=False)
    found = estimates(Question(subject, parse_size(size) if size else None, classes), target, precision)
    assumed = assumptions(target.board)
    if as_json:
        graphs = [{"graph": name, "estimates": [e.to_json() for e in of]} for name, of in found]
        print_json({"what": "an estimate, not a measurement", "estimate_assumptions": assumed, "graphs": graphs})
        return
    for name, of in found:
        _print(name, of)
    click.echo("An estimate, not a measurement. It assumes:")
    for line in assumed:
        click.echo(f"  - {line}")


def _print(name: str, estimates) -> None:
    from rich.table import Table

    first = estimates[0]
    table = Table(title=f"estimate of {name} on {first.board}, {first.precision}", title_justify="left")
    for column in ("layer", "operators", "in", "MMAC", "MB", "bound by", "estimate µs", "share"):
        table.add_column(column, justify="left" if column in ("layer", "operators", "in", "bound by") else "right")
    for layer in first.layers:
        table.add_row(
            layer.name,
            layer.ops,
            layer.precision,
            f"{layer.multiply_adds / 1e6:.1f}" if layer.multiply_adds else "",
            f"{layer.estimate_bytes / 1e6:.2f}",
            layer.bound,
            f"{1e3 * layer.estimate_ms:.0f}",
            f"{layer.share:.0%}",
        )
    print_rich(table)
    for estimate in estimates:
        click.echo(
            f"{estimate.precision}: estimate {estimate.estimate_ms:.2f} ms "
            f"({estimate.estimate_least_ms:.2f} to {estimate.estimate_most_ms:.2f}), "
            f"{estimate.multiply_adds / 1e9:.2f} GMAC, {estimate.estimate_bytes / 1e6:.0f} MB moved, "
            f"{len(estimate.layers)} kernels"
        )
