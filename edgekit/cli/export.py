"""`edgekit export`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import Threads, calibration_option, finished_run_argument, photographs_option, set_option
from edgekit.cli.output import json_option, print_json, print_rich


@click.command(epilog="Example: edgekit export runs/uav-1a2b3c4d5e --target jetson --board orin-nano-8gb --jetpack 6.2")
@finished_run_argument
@click.option(
    "--target",
    type=click.Choice(["cpu", "jetson", "onnx"]),
    default="cpu",
    show_default=True,
    help="cpu: onnxruntime's files; jetson: every lane, and the CPU's; onnx: one plain fp32 file.",
)
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "int8"]), default=None, help="Go down to this; default: all."
)
@click.option("--board", default=None, metavar="NAME", help="Narrow jetson to a board, e.g. orin-nano-8gb.")
@click.option("--jetpack", default=None, metavar="VERSION", help="Narrow jetson to a JetPack, e.g. 6.2.")
@click.option(
    "--size",
    default=None,
    metavar="HxW",
    help="Input of the network; default: the frames' size, up to a multiple of 16.",
)
@click.option(
    "--dynamic", default="", metavar="batch,size", help="Leave these to run time, between the bounds of export.open."
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder, or a .tar; default: bundles/NAME.")
@photographs_option
@click.option(
    "--golden",
    type=click.Choice(["recipe", "synthetic"]),
    default="recipe",
    show_default=True,
    help="Frames that the bundle carries; synthetic: no photograph is in it.",
)
@calibration_option
@click.option(
    "--metrics/--no-metrics", default=True, show_default=True, help="Score the files on the recipe's evaluated split."
)
@click.option("--metric-frames", type=click.IntRange(1), default=None, metavar="N", help="Score on N frames of it.")
@click.option("--threads", type=Threads(), default=1, show_default=True, help="CPU threads.")
@set_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    run: Path | None,
    target: str,
    precision: str | None,
    board: str | None,
    jetpack: str | None,
    size: str | None,
    dynamic: str,
    out: Path | None,
    frames: Path | None,
    golden: str,
    calibration_frames: str | None,
    metrics: bool,
    metric_frames: int | None,
    threads: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a bundle of RUN's student: ONNX files for every runtime of the target, checked against the module.

    RUN is a run's folder (default: the one under ./runs that was finished last) or a student's .pt. Exit code 1: a step
    of the export does not say what the one before it said; the first tensor that diverges is named, nothing is written.
    """
    from edgekit.api import export
    from edgekit.students.listing import parse_size

    result = export(
        run,
        target=target,
        precision=precision,
        board=board,
        jetpack=jetpack,
        size=parse_size(size) if size else None,
        dynamic=[word.strip() for word in dynamic.split(",") if word.strip()],
        out=out,
        frames=frames,
        golden=golden,
        calibration_frames=calibration_frames,
        metrics=metrics,
        metric_frames=metric_frames,
        threads=threads,
        overrides=overrides,
    )
    if as_json:
        print_json(result.document)
    else:
        _print(result.document)
    if not result.holds:
        ctx.exit(1)


def _print(result: dict) -> None:
    print_rich(_parity_table(result))
    if not result["holds"]:
        click.echo(f"FAILS: {result['failed']}\nno bundle was written")
        return
    lines = [f"{name:<24} {size:>12,} bytes" for name, size in result["files"].items()]
    click.echo("\n".join([*lines, "", f"bundle    {result['bundle']}  ({', '.join(result['artifacts'])})"]))


def _parity_table(result: dict):
    from rich.table import Table

    table = Table(title=f"{result['name']}: every step against the one before", title_justify="left")
    for column in ("step", "task", "metric", "value", "limit", ""):
        table.add_column(column, justify="right" if column in ("value", "limit") else "left")
    for row in result["parity"]:
        value, limit = ("–" if row[key] is None else f"{row[key]:.6g}" for key in ("value", "limit"))
        table.add_row(row["step"], row["task"], row["metric"], value, limit, "holds" if row["holds"] else "FAILS")
    return table
