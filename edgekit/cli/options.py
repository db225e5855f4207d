"""Arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

ALLOW_CODE = "EDGEKIT_ALLOW_CODE"  # what edgekit.teachers.external.permission reads

finished_run_argument = click.argument("run", type=click.Path(path_type=Path), metavar="[RUN]", required=False)
recipe_argument = click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE")

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one recipe key, e.g. --set student.width=32 or --set teacher.members.0.width=8; repeatable.",
)

photographs_option = click.option(
    "--frames", type=click.Path(path_type=Path), default=None, metavar="DIR", help="Photographs, for a student's .pt."
)
calibration_option = click.option(
    "--calibration-frames",
    default=None,
    metavar="N|DIR",
    help="As many frames of the train split, or a folder of photographs; default: export.quantize.frames.",
)


class Threads(click.IntRange):
    """CPU threads, from 1 to the cores that the process may use: more would wait for each other."""

    def __init__(self) -> None:
        super().__init__(1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from edgekit.runtime.onnxruntime.backend import usable_cores

        asked, cores = super().convert(value, param, ctx), usable_cores()
        if asked > cores:
            self.fail(f"{asked} threads, where this process may use {cores} core(s)", param, ctx)
        return asked


@contextmanager
def _code_allowed() -> Iterator[None]:
    """In the environment, so that the processes which a command starts know it too."""
    before = os.environ.get(ALLOW_CODE)
    os.environ[ALLOW_CODE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ALLOW_CODE]
        else:
            os.environ[ALLOW_CODE] = before


def _allow(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        ctx.with_resource(_code_allowed())


allow_code_option = click.option(
    "--allow-code",
    is_flag=True,
    expose_value=False,
    callback=_allow,
    help="Run the functions that the recipe names as teachers (kind: torch). Without it a recipe executes nothing.",
)

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path), metavar="BUNDLE")


def backend_options(command: Callable) -> Callable:
    """What runs a bundle, and which of its artifacts: ``backend``, ``lane``, ``precision``, ``threads``, ``engine``."""
    options = (
        click.option("--backend", metavar="NAME", help="onnxruntime (default), or tensorrt with --engine."),
        click.option("--lane", metavar="LANE", help="Lane of the bundle; default: the backend's own."),
        click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), help="Default: int8 where there is."),
        click.option("--threads", type=Threads(), metavar="N", help="CPU threads; default: all cores."),
        click.option("--engine", type=click.Path(path_type=Path), metavar="FILE", help="A built engine to run."),
    )
    for option in reversed(options):
        command = option(command)
    return command
