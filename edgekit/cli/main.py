"""The command `edgekit`: a group that imports a command's module only when that command runs.

Exit codes: 0 done; 1 ran, but a stated requirement failed (a command calls ``ctx.exit(1)``); 2 the user's input is
wrong; 70 a fault in edgekit itself; 74 the result could not be written to stdout; 130 interrupted; 141 the reader of
stdout has gone.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from edgekit import __version__
from edgekit.cli.output import print_json
from edgekit.cli.printing import Unprinted, printing
from edgekit.errors import EdgekitError

# name -> (module with a click command called `command`, one line of help).
# The help is here and not in the module, so that `edgekit --help` imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "board": ("edgekit.cli.board", "Install and check boards over ssh, for --on NAME."),
    "bench": ("edgekit.cli.bench", "Measure a bundle; compare measurements; run and report suites."),
    "build": ("edgekit.cli.build", "Build a TensorRT engine from a bundle, on the device."),
    "bundle": ("edgekit.cli.bundle", "Show what a bundle holds, or check that it is whole."),
    "compile": ("edgekit.cli.compile", "Give a bundle's files to NVIDIA's compiler, without a GPU."),
    "data": ("edgekit.cli.data", "Make, show and convert data sets, and choose frames to label."),
    "distill": ("edgekit.cli.distill", "Train the ensemble of a recipe and distil it into a student."),
    "doctor": ("edgekit.cli.doctor", "Check what this machine lacks to build engines."),
    "estimate": ("edgekit.cli.estimate", "Estimate a graph's time on a board by a roofline."),
    "evaluate": ("edgekit.cli.evaluate", "Score the models of a run, or a bundle, on a split."),
    "export": ("edgekit.cli.export", "Make a bundle of a student: ONNX files for every runtime, checked."),
    "lint": ("edgekit.cli.lint", "Check a graph against what a board's TensorRT takes."),
    "quantize": ("edgekit.cli.quantize", "Show what INT8 costs a student, layer by layer."),
    "recipe": ("edgekit.cli.recipe", "List, copy, print and check recipes, and the data behind them."),
    "report": ("edgekit.cli.report", "Write one HTML page about a run, or runs beside each other."),
    "run": ("edgekit.cli.run", "Draw a bundle's predictions over photographs, a video or a camera."),
    "search": ("edgekit.cli.search", "Search a student's shape for the best in a budget of ms."),
    "students": ("edgekit.cli.students", "List the students with parameters, multiply-adds and CPU latency."),
    "verify": ("edgekit.cli.verify", "Compare a bundle on its golden frames with the fp32 reference."),
}

# Top-level module -> the extra that installs it.
EXTRAS = {
    "cv2": "cpu",
    "jinja2": "train",
    "markupsafe": "train",
    "matplotlib": "train",
    "onnx": "train",
    "onnxruntime": "cpu",
    "onnxscript": "train",
    "onnxslim": "train",
    "openvino": "openvino",
    "pydantic": "train",
    "ruamel": "train",
    "torch": "train",
    "optuna": "search",
    "sqlalchemy": "search",
    "pycuda": "tensorrt",
    "tensorrt": "tensorrt",
}

# Errors that the path given causes, wherever it is first used.
_PLACES = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}

WRONG_INPUT, INTERNAL_FAULT, UNPRINTED, INTERRUPTED, READER_GONE = 2, 70, 74, 130, 141


class LazyGroup(click.Group):
    """A click group over a table `name -> (module, help)`."""

    def __init__(self, table: dict[str, tuple[str, str]], **options):
        super().__init__(**options)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        return importlib.import_module(self.table[name][0]).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table[name][1]) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: click.Context, args: list[str]):
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.table, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"commands: {', '.join(self.list_commands(ctx))}"
            raise click.UsageError(f"unknown command '{name}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        # A command's return value is dropped: outside click's standalone mode it would become the exit code.
        super().invoke(ctx)


@click.command(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: edgekit recipe show recipes/uav.yaml --set student.width=32",
)
@click.version_option(__version__, prog_name="edgekit")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (or EDGEKIT_DEBUG=1).")
def cli() -> None:
    """Distil an ensemble of teachers into a student under one million parameters."""


def main(args: Sequence[str] | None = None) -> int:
    """Run `edgekit` with ``args`` (default: the process's own) and return the exit code.

    With ``--json`` among the arguments an error too is one JSON document on stdout:
    ``{"error": {"what", "where", "fix"}}``.
    """
    with printing():
        try:
            code = _run(list(sys.argv[1:] if args is None else args))
            sys.stdout.flush()
            return code
        except Unprinted as unprinted:
            if isinstance(unprinted.error, BrokenPipeError):
                return READER_GONE
            what = f"the result cannot be written to stdout: {unprinted.error.strerror}"
            shown = EdgekitError(
                what, where="stdout", fix="its files are kept; free some space, or print to another place"
            )
            return _fail(shown, UNPRINTED, as_json=False, debug=False)


def _run(args: list[str]) -> int:
    debug = "--debug" in args or os.environ.get("EDGEKIT_DEBUG", "") not in ("", "0")
    args = [arg for arg in args if arg != "--debug"]  # accepted behind the command's name too
    as_json = "--json" in args
    try:
        return cli.main(args, prog_name="edgekit", standalone_mode=False) or 0
    except EdgekitError as error:
        return _fail(error, WRONG_INPUT, as_json=as_json, debug=debug)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "edgekit"
        shown = EdgekitError(error.format_message(), where=command, fix=f"see `{command} --help`")
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            click.echo(error.format_message(), err=True)
            return WRONG_INPUT
        return _fail(shown, WRONG_INPUT, as_json=as_json, debug=False)
    except click.ClickException as error:
        return _fail(
            EdgekitError(error.format_message(), where="the command line", fix="see `edgekit --help`"),
            WRONG_INPUT,
            as_json=as_json,
            debug=debug,
        )
    except (click.Abort, KeyboardInterrupt):
        return _fail(EdgekitError("interrupted"), INTERRUPTED, as_json=as_json, debug=debug)
    except ModuleNotFoundError as error:
        # Only the package itself: where `torch._C` is missing, torch is broken and no extra is missing.
        extra = EXTRAS.get(error.name or "")
        if extra is None:
            return _fault(error, as_json=as_json)
        missing = EdgekitError(
            f"this command needs the {extra} extra: the package '{error.name}' is not installed",
            where=f"this Python: {sys.executable}",
            fix=f"pip install 'edgekit[{extra}]'",
        )
        return _fail(missing, WRONG_INPUT, as_json=as_json, debug=debug)
    except OSError as error:
        if error.errno not in _PLACES or not error.filename:
            return _fault(error, as_json=as_json)
        shown = EdgekitError(error.strerror or str(error), where=str(error.filename)[:300], fix="give another path")
        return _fail(shown, WRONG_INPUT, as_json=as_json, debug=debug)
    except Exception as error:
        return _fault(error, as_json=as_json)


def _fail(error: EdgekitError, code: int, *, as_json: bool, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if as_json:
        print_json({"error": {"what": error.what, "where": error.where, "fix": error.fix}})
    else:
        click.echo(f"edgekit: {error}", err=True)
    return code


def _fault(error: Exception, *, as_json: bool) -> int:
    """Something no user input should cause: the traceback is what a bug report needs."""
    traceback.print_exc()
    shown = EdgekitError(
        f"internal fault: {type(error).__name__}: {error}",
        fix="this is a bug in edgekit or in a package it uses; report it with the traceback above",
    )
    return _fail(shown, INTERNAL_FAULT, as_json=as_json, debug=False)
