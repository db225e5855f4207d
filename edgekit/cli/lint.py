"""`edgekit lint`."""

from __future__ import annotations

import click

from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit lint repseg --board orin-nx-16gb --jetpack 6.2 --dla")
@click.argument("subject", metavar="ONNX|STUDENT|BUNDLE")
@click.option("--board", required=True, help="E.g. orin-nx-16gb; an unknown name lists them all.")
@click.option("--jetpack", default=None, help="E.g. 6.2; default: the newest that runs on the board.")
@click.option("--dla", is_flag=True, help="Look at it as built for a DLA core.")
@click.option("--size", default=None, metavar="HxW", help="Frame size, where the graph leaves it open. [544x960]")
@click.option("--classes", default=None, type=click.IntRange(2, 254), help="Classes of a student's head. [8]")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    subject: str,
    board: str,
    jetpack: str | None,
    dla: bool,
    size: str | None,
    classes: int | None,
    as_json: bool,
) -> None:
    """Check every node of a graph against what a board's TensorRT takes, before the board is at hand.

    A student's name is enough: its graph is made as an export would make it, untrained. Exit code 1: something would
    not build. Rules come from documentation and headers; the builder on the board has the last word.
    """
    from edgekit.boards import board as board_of
    from edgekit.boards import jetpack as jetpack_of
    from edgekit.pipeline.preflight import Question, lint_reports
    from edgekit.preflight.lint import target_of
    from edgekit.students.listing import parse_size

    target = target_of(board_of(board), jetpack_of(jetpack) if jetpack else None, dla=dla)
    reports = lint_reports(Question(subject, parse_size(size) if size else None, classes), target)
    if as_json:
        print_json({"builds": all(r.builds for r in reports), "reports": [r.to_json() for r in reports]})
    else:
        for report in reports:
            _print(report)
    if not all(report.builds for report in reports):
        ctx.exit(1)


_COLOURS = {"refused": "bold red", "falls back": "yellow", "GPU": "green", "DLA": "green", "folded": "dim"}


def _print(report) -> None:
    from rich.table import Table
    from rich.text import Text

    from edgekit.preflight.grouping import grouped

    title = f"{report.subject} on {report.board}, JetPack {report.jetpack} (TensorRT {report.tensorrt})"
    table = Table(title=title, title_justify="left")
    for column in ("where", "nodes", "which", "why, and what to change"):
        table.add_column(column, overflow="fold")
    for finding in report.graph:
        where = Text(
            "refused" if finding.level == "error" else "note", style="bold red" if finding.level == "error" else ""
        )
        table.add_row(where, "the graph", "", Text(f"{finding.why}\n→ {finding.change}"))
    for group in grouped(report.nodes):
        table.add_row(
            Text(group.place, style=_COLOURS[group.place]),
            Text(f"{len(group.names)} {group.op}"),
            Text(group.which()),
            Text(group.why()),
        )
    print_rich(table)
    slow = sum(finding.level == "slow" for finding in report.findings)
    loadables = f", {report.loadables} piece(s) on DLA" if report.loadables else ""
    fallback = " with GPU fallback" if any(node.place == "falls back" for node in report.nodes) else ""
    verdict = f"would build{fallback}" if report.builds else "would NOT build"
    click.echo(f"{verdict}; {slow} remark(s) on speed{loadables}")
