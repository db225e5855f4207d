"""Arguments and options that several commands share, on a device too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

ALLOW_CODE = "EDGEKIT_ALLOW_CODE"  # what edgekit.teachers.external.permission reads
PATH = click.Path(path_type=Path)
PRECISION = click.Choice(["fp32", "fp16", "int8"])

recipe_argument = click.argument("recipe", type=PATH, metavar="RECIPE")
bundle_argument = click.argument("bundle", type=PATH, metavar="BUNDLE")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one recipe key, e.g. --set student.width=32 or --set teacher.members.0.width=8; repeatable.",
)


def listed(text: str) -> list[str]:
    """The words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


class Threads(click.IntRange):
    """CPU threads, from 1 to the cores that the process may use: more would wait for each other."""

    def __init__(self) -> None:
        super().__init__(1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from edgekit.runtime.cpu import usable_cores

        asked, cores = super().convert(value, param, ctx), usable_cores()
        # Before parsing ends, click uses a sentinel for missing values.
        elsewhere = ctx is not None and isinstance(ctx.params.get("on"), str)
        if asked > cores and not elsewhere:
            self.fail(f"{asked} threads, but this process may use {cores} core(s)", param, ctx)
        return asked


@contextmanager
def _code_allowed() -> Iterator[None]:
    """Set in the environment, which the processes that a command starts inherit."""
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


def together(*options: Callable) -> Callable:
    """A decorator that adds several options to a command, in this order."""

    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


backend_options = together(
    click.option("--backend", metavar="NAME", help="onnxruntime, openvino or tensorrt; default: onnxruntime."),
    click.option("--lane", metavar="LANE", help="Lane of the bundle; default: the backend's own."),
    click.option("--precision", type=PRECISION, help="Default: int8 where the bundle has it."),
    click.option("--threads", type=Threads(), metavar="N", help="CPU threads; default: all cores."),
    click.option("--engine", type=PATH, metavar="FILE", help="A built engine; default: the newest of the bundle."),
)
"""How a bundle is run: keyword arguments of ``edgekit.load``."""
