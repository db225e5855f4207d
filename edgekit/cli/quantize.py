"""`edgekit quantize sensitivity`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import PATH, Threads, set_option
from edgekit.cli.output import json_option, print_json, print_rich
from edgekit.cli.student_options import student_options
from edgekit.frames.terminal import rich_table


@click.group("quantize", epilog="Example: edgekit quantize sensitivity runs/uav-1a2b3c4d5e")
def command() -> None:
    """Show what INT8 costs a student."""


@command.command("sensitivity", epilog="Example: edgekit quantize sensitivity runs/uav-1a2b3c4d5e --style tensorrt")
@student_options
@click.option(
    "--style",
    type=click.Choice(["onnxruntime", "tensorrt"]),
    default="onnxruntime",
    show_default=True,
    help="INT8 as in the CPU's file, or as in TensorRT's.",
)
@click.option(
    "--measured", type=click.IntRange(1), default=16, show_default=True, metavar="N", help="Frames to measure on."
)
@click.option(
    "--plot",
    type=PATH,
    metavar="FILE.png",
    help="Where to draw it; default: pictures/sensitivity-STYLE.png of the run, or of the .pt's folder.",
)
@click.option("--threads", type=Threads(), metavar="N", help="CPU threads; default: all cores.")
@set_option
@json_option
def sensitivity(
    run: Path | None,
    style: str,
    frames: Path | None,
    calibration_frames: str | None,
    plot: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Put one layer of RUN's student after the other in INT8, and print how much noise that adds to each output.

    RUN is a run's folder (default: the one under ./runs that was finished last) or a student's .pt. Low decibels are
    bad: the layers named below the table are those that `export.quantize.keep_float` should name first.
    """
    from edgekit.pipeline.layers import layer_noise
    from edgekit.pipeline.subject import calibrate_with, latest_run, subject_of

    path = run or latest_run()
    subject = subject_of(path, overrides, frames)
    count = calibrate_with(subject, calibration_frames)
    folder = path if path.is_dir() else path.parent
    plot = plot or folder / "pictures" / f"sensitivity-{style}.png"
    result = layer_noise(subject, style=style, frames=count, plot=plot, **options)
    if as_json:
        print_json(result)
        return
    print_rich(_table(result))
    click.echo("\n".join([*_advice(result), f"plot      {result['plot']}"]))


def _table(result: dict[str, Any]) -> Any:
    weights = ", equalised weights" if result["equalised"] else ""
    title = (
        f"{result['name']}: signal to noise with one layer alone in INT8 ({result['style']}), dB, and its share\n"
        f"{result['observer']} ranges of {result['calibration_frames']} frames{weights}, "
        f"measured on {result['measured_frames']}"
    )
    outputs = result["outputs"]
    rows = [
        (row["layer"], row["operator"], f"{row['weights']:,}", *(_cell(row, o, result["loudest"][o]) for o in outputs))
        for row in result["layers"]
    ]
    table = rich_table(title, ("layer", "operator", "weights", *outputs), rows, right=("weights", *outputs))
    table.add_section()
    table.add_row("all together", "", "", *(_decibels(result["together"][output]) for output in outputs))
    return table


def _cell(row: dict[str, Any], output: str, loudest: list[str]) -> Any:
    """Signal to noise, and the layer's share of all layers' noise; bold for the few that make half of it."""
    from rich.text import Text

    from edgekit.quantize.sensitivity import share_text

    if row["decibels"][output] is None:
        return "float" if set(row["decibels"].values()) == {None} else "–"
    text = f"{_decibels(row['decibels'][output])} {share_text(row['share'][output]):>4}"
    return Text(text, "bold") if row["layer"] in loudest else text


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _advice(result: dict[str, Any]) -> list[str]:
    """The fewest layers that make half of each output's noise."""
    loudest = {output: layers for output, layers in result["loudest"].items() if layers}
    lines = [f"most disturbing: {', '.join(names)} (half of the noise on {o})" for o, names in loudest.items()]
    return lines or ["no layer is in INT8 in this style"]
