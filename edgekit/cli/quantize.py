"""`edgekit quantize sensitivity`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import Threads, calibration_option, finished_run_argument, photographs_option, set_option
from edgekit.cli.output import json_option, print_json, print_rich


@click.group("quantize", epilog="Example: edgekit quantize sensitivity runs/uav-1a2b3c4d5e")
def command() -> None:
    """Look into what INT8 costs a student."""


@command.command("sensitivity", epilog="Example: edgekit quantize sensitivity runs/uav-1a2b3c4d5e --style tensorrt")
@finished_run_argument
@click.option(
    "--style",
    type=click.Choice(["onnxruntime", "tensorrt"]),
    default="onnxruntime",
    show_default=True,
    help="Whose INT8: that of the CPU's file, or that of TensorRT's.",
)
@click.option("--size", default=None, metavar="HxW", help="Input of the network; default: as `edgekit export`.")
@photographs_option
@calibration_option
@click.option(
    "--measured", type=click.IntRange(1), default=16, show_default=True, metavar="N", help="Frames to measure on."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE.png",
    help="Where to draw it; default: pictures/sensitivity-STYLE.png of the run, or of the .pt's folder.",
)
@click.option("--threads", type=Threads(), default=None, metavar="N", help="CPU threads; default: all cores.")
@set_option
@json_option
def sensitivity(
    run: Path | None,
    style: str,
    size: str | None,
    frames: Path | None,
    calibration_frames: str | None,
    measured: int,
    plot: Path | None,
    threads: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Put one layer of RUN's student after the other in INT8, and say how much that alone disturbs each output.

    RUN is a run's folder (default: the one under ./runs that was finished last) or a student's .pt. Low decibels are
    bad: the layers named below the table are those that `export.quantize.keep_float` should name first.
    """
    from edgekit.pipeline.layers import Question, layer_noise
    from edgekit.pipeline.subject import calibrate_with, latest_run, subject_of
    from edgekit.students.listing import parse_size

    path = run or latest_run()
    subject = subject_of(path, overrides, frames)
    count = calibrate_with(subject, calibration_frames)
    folder = path if path.is_dir() else path.parent
    question = Question(
        style=style,
        size=parse_size(size) if size else None,
        frames=count,
        measured=measured,
        plot=plot or folder / "pictures" / f"sensitivity-{style}.png",
        threads=threads,
    )
    result = layer_noise(subject, question)
    if as_json:
        print_json(result)
        return
    print_rich(_table(result))
    click.echo("\n".join([*_advice(result), f"plot      {result['plot']}"]))


def _table(result: dict):
    from rich.table import Table

    title = (
        f"{result['name']}: signal to noise with one layer alone in INT8 ({result['style']}), dB, and its share\n"
        f"{result['observer']} ranges of {result['calibration_frames']} frames, measured on {result['measured_frames']}"
    )
    table = Table(title=title, title_justify="left")
    for column in ("layer", "operator", "weights", *result["outputs"]):
        table.add_column(column, justify="left" if column in ("layer", "operator") else "right", no_wrap=True)
    for row in result["layers"]:
        absent = "float" if set(row["decibels"].values()) == {None} else "–"
        cells = [_cell(row, output, row["layer"] in result["loudest"][output], absent) for output in result["outputs"]]
        table.add_row(row["layer"], row["operator"], f"{row['weights']:,}", *cells)
    table.add_section()
    table.add_row("all together", "", "", *(_decibels(result["together"][output]) for output in result["outputs"]))
    return table


def _cell(row: dict, output: str, loud: bool, absent: str):
    """Signal to noise, and the layer's share of all layers' noise; bold for the few that make half of it."""
    from rich.text import Text

    from edgekit.quantize.sensitivity import percent

    if row["decibels"][output] is None:
        return absent
    text = f"{_decibels(row['decibels'][output])} {percent(row['share'][output]):>4}"
    return Text(text, "bold") if loud else text


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _advice(result: dict) -> list[str]:
    """The fewest layers that make half of each output's noise."""
    lines = [
        f"most disturbing: {', '.join(layers)} (half of the noise on {output})"
        for output, layers in result["loudest"].items()
        if layers
    ]
    return lines or ["no layer is in INT8 in this style"]
