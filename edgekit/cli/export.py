"""`edgekit export`."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli.options import PATH, PRECISION, Threads, listed, set_option
from edgekit.cli.output import answer, json_option, print_rich
from edgekit.cli.student_options import student_options
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit export runs/uav-1a2b3c4d5e --target jetson --board orin-nano-8gb --jetpack 6.2")
@student_options
@click.option(
    "--target",
    type=click.Choice(["cpu", "jetson", "rtx", "onnx"]),
    default="cpu",
    show_default=True,
    help="cpu: onnxruntime's files; jetson: every lane, and the CPU's; rtx: the strongly typed lane, engines of it for "
    "RTX GPUs, and the CPU's; onnx: one plain fp32 file.",
)
@click.option("--precision", type=PRECISION, help="The lowest precision to make; default: all of the target.")
@click.option("--board", metavar="NAME", help="Narrow jetson to a board, e.g. orin-nano-8gb.")
@click.option("--jetpack", metavar="VERSION", help="Narrow jetson to a JetPack, e.g. 6.2.")
@click.option(
    "--compute-capability",
    "capabilities",
    default="",
    metavar="LIST",
    help="With rtx: what engines are built for; default: 8.6,8.9,12.0 (RTX 30, 40 and 50).",
)
@click.option(
    "--dynamic", default="", metavar="batch,size", help="Leave these to run time, between the bounds of export.open."
)
@click.option("--out", type=PATH, help="Folder, or a .tar; default: bundles/NAME-TARGET.")
@click.option(
    "--golden",
    type=click.Choice(["recipe", "synthetic"]),
    default="recipe",
    show_default=True,
    help="Frames that the bundle carries; synthetic: no photograph is in it.",
)
@click.option(
    "--metrics/--no-metrics", default=True, show_default=True, help="Score the files on the recipe's evaluated split."
)
@click.option("--metric-frames", type=click.IntRange(1), metavar="N", help="Score on N frames of that split.")
@click.option(
    "--deepstream", is_flag=True, help="With jetson: a graph and a configuration for DeepStream's nvinfer too."
)
@click.option("--threads", type=Threads(), default=1, show_default=True, help="CPU threads.")
@set_option
@json_option
@click.pass_context
def command(ctx: click.Context, dynamic: str, capabilities: str, as_json: bool, **options: Any) -> None:
    """Make a bundle of RUN's student: ONNX files for every runtime of the target, checked against the module.

    RUN is a run's folder (default: the one under ./runs that was finished last), the .pt of one of its students
    (RUN/baseline.pt learned from labels only), or of any student. Exit code 1: a step of the export differs too much
    from the one before it; the first tensor that diverges is named, nothing is written.
    """
    from edgekit.api import export

    result = export(dynamic=listed(dynamic), compute_capability=listed(capabilities), **options)
    answer(as_json, result.document, lambda: _print(result.document))
    if not result.holds:
        ctx.exit(1)


def _print(result: dict[str, Any]) -> None:
    title = f"{result['name']}: every step against the one before"
    columns = ("step", "task", "metric", "value", "limit", "")
    print_rich(rich_table(title, columns, map(_cells, result["parity"]), right=("value", "limit")))
    if not result["holds"]:
        click.echo(f"FAILS: {result['failed']}\nno bundle was written")
        return
    for engine in result["engines"]:
        click.echo(f"engine    {engine}: built, not run")
    lines = [f"{name:<24} {size:>12,} bytes" for name, size in result["files"].items()]
    click.echo("\n".join([*lines, "", f"bundle    {result['bundle']}  ({', '.join(result['artifacts'])})"]))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    value, limit = ("–" if row[key] is None else f"{row[key]:.6g}" for key in ("value", "limit"))
    refused = "FAILS" if row["limit"] is not None else "refused"  # by NVIDIA's compiler, which stops no export
    holds = {True: "holds", False: refused, None: "–"}[row["holds"]]
    return row["step"], row["task"], row["metric"], value, limit, holds
