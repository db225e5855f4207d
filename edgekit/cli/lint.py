"""`edgekit lint`."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli.output import json_option, print_json, print_rich
from edgekit.cli.student_options import graph_options
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit lint repseg --board orin-nx-16gb --jetpack 6.2 --dla")
@graph_options
@click.option("--dla", is_flag=True, help="Check it as built for a DLA core.")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, **options: Any) -> None:
    """Check every node of a graph against what a board's TensorRT takes, before the board is at hand.

    A student's name is enough: its graph is made as an export would make it, untrained. Exit code 1: something would
    not build. The rules come from documentation and headers; the builder on the board decides.
    """
    from edgekit.pipeline.preflight import lint_reports

    reports = lint_reports(**options)
    builds = all(report.builds for report in reports)
    if as_json:
        print_json({"builds": builds, "reports": [r.to_json() for r in reports]})
    else:
        for report in reports:
            _print(report)
    if not builds:
        ctx.exit(1)


_COLOURS = {"refused": "bold red", "falls back": "yellow", "GPU": "green", "DLA": "green", "folded": "dim"}


def _print(report) -> None:
    from rich.text import Text

    from edgekit.preflight.grouping import grouped

    rows = []
    for finding in report.graph:
        where = Text("refused", style="bold red") if finding.level == "error" else Text("note")
        rows.append((where, "the graph", "", Text(f"{finding.why}\n→ {finding.change}")))
    for group in grouped(report.nodes):
        where = Text(group.place, style=_COLOURS[group.place])
        rows.append((where, Text(f"{len(group.names)} {group.op}"), Text(group.which()), Text(group.why())))
    title = f"{report.subject} on {report.board}, JetPack {report.jetpack} (TensorRT {report.tensorrt})"
    print_rich(rich_table(title, ("where", "nodes", "which", "why, and what to change"), rows))
    slow = sum(finding.level == "slow" for finding in report.findings)
    loadables = f", {report.loadables} piece(s) on DLA" if report.loadables else ""
    fallback = " with GPU fallback" if any(node.place == "falls back" for node in report.nodes) else ""
    verdict = f"would build{fallback}" if report.builds else "would NOT build"
    click.echo(f"{verdict}; {slow} remark(s) on speed{loadables}")
