"""Arguments and options that several commands of the workstation share."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli.options import PATH, together
from edgekit.frames.sizes import parse_size


class SizeType(click.ParamType):
    """``544x960``: height and width in pixels."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        return parse_size(value) if isinstance(value, str) else value


def size_option(about: str, **more: Any):
    return click.option("--size", type=SizeType(), metavar="HxW", help=about, **more)


student_options = together(
    click.argument("run", type=PATH, metavar="[RUN]", required=False),
    size_option("Input of the network; default: the frames' size, up to a multiple of 16."),
    click.option("--frames", type=PATH, metavar="DIR", help="Photographs, for a student's .pt."),
    click.option(
        "--calibration-frames",
        metavar="N|DIR|LIST",
        help="How many frames of the train split, a list of them, or a folder of photographs; "
        "default: export.quantize.frames.",
    ),
)
"""A finished run's student, and the frames to calibrate and check it with."""

graph_options = together(
    click.argument("subject", metavar="ONNX|STUDENT|BUNDLE"),
    click.option("--board", required=True, help="E.g. orin-nx-16gb; an unknown name lists them all."),
    click.option("--jetpack", help="E.g. 6.2; default: the newest that runs on the board."),
    size_option("Frame size, where the graph leaves it open. [544x960]"),
    click.option("--classes", type=click.IntRange(2, 254), help="Classes of a student's head. [8]"),
)
"""A graph and the board that it is for: arguments of ``edgekit.pipeline.preflight``."""
