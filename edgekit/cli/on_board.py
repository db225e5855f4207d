"""`--on NAME`: a command of the device half that runs on a board instead of here."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from edgekit.errors import EdgekitError


class BoardCommand(click.Command):
    """A command with the option ``--on``. Its arguments are handed on; what they name here is copied there and back."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        # Eager, so that what checks values against this machine knows that they are for another.
        self.params.append(click.Option(["--on"], is_eager=True, metavar="NAME", help="Run on this board."))

    def invoke(self, ctx: click.Context) -> Any:
        board = ctx.params.pop("on")
        return super().invoke(ctx) if board is None else ctx.exit(_run(ctx, board))


def bundle_copy(bundle: Any) -> Any:
    """What of an opened bundle lies on a board: all of it but the engines, which are built there."""
    from edgekit.bundle.bundle import ENGINES
    from edgekit.bundle.manifest import MANIFEST
    from edgekit.frames.names import plain
    from edgekit.remote.job import Copy

    files = {name: bundle.folder / name for name in (MANIFEST, *bundle.manifest.files)}
    return Copy(f"bundles/{plain(bundle.manifest.name)}", files, ENGINES)


def bring_sidecars(connection: Any, bundle: Any) -> list[Path]:
    """What the board's engines were built from and how they did; a folder per board beside the bundle's own engines."""
    from edgekit.remote.job import bring
    from edgekit.runtime.tensorrt.locate import engine_folder

    place = engine_folder(bundle) / connection.board.name
    return bring(connection, f"{bundle_copy(bundle).folder}/engines", place.joinpath, ".plan.json")


def _run(ctx: click.Context, name: str) -> int:
    from edgekit.bundle.bundle import open_bundle
    from edgekit.cli.progress import progress_bars
    from edgekit.remote import registry
    from edgekit.remote.agent import FOLDER
    from edgekit.remote.connection import Connection
    from edgekit.remote.install import check_installed
    from edgekit.remote.job import BoardStep, bring, perform, show

    board, bundle = registry.find(name), open_bundle(ctx.params["bundle"])
    copies, brought = [bundle_copy(bundle)], []
    words, group = _words(ctx, copies), ctx.command_path.split()[1]
    what = shlex.join(["edgekit", group, bundle.manifest.name, *words]).replace(FOLDER, "")
    step = BoardStep([f"{FOLDER}/venv/bin/edgekit", group, f"{FOLDER}/{copies[0].folder}", *words], prints=True)

    def collect(output: str) -> None:
        if group == "build":
            brought.extend(bring_sidecars(connection, bundle))
        if here := ctx.params.get("output"):
            brought.extend(bring(connection, output, here.absolute().parent.joinpath))

    with Connection(board) as connection:
        check_installed(connection.hello, name)
        (code,), stdout = perform(connection, what, [step], copies, progress_bars, collect)
    show(sys.stdout, stdout)
    if brought:
        listed = ", ".join(map(str, brought)) if len(brought) < 4 else f"{len(brought)} files, {brought[0].parent}"
        click.echo(f"edgekit: brought back from '{name}': {listed}", err=True)
    return code if code >= 0 else 128 - code


def _words(ctx: click.Context, copies: list[Any]) -> list[str]:
    """The options as they were given, with paths as they are on the board; ``copies`` gets what must lie there."""
    words = []
    for option in ctx.command.params:
        given = ctx.get_parameter_source(option.name) is not click.core.ParameterSource.DEFAULT
        if not isinstance(option, click.Option) or option.name == "on" or not given:
            continue
        value = ctx.params[option.name]
        for one in value if option.multiple else [value]:
            end = "" if option.is_flag else f"={_there(ctx, option.name, one, copies)}"
            words.append(f"{option.opts[0]}{end}")
    return words


def _there(ctx: click.Context, option: str, value: Any, copies: list[Any]) -> str:
    from edgekit.remote.agent import FOLDER
    from edgekit.remote.job import OUTPUT

    if option == "timing_cache":
        what = "a timing cache is of the GPU that runs the command"
        raise EdgekitError(what, where="--timing-cache", fix="leave it out: the board keeps one of its own")
    if option == "engine":
        return f"{FOLDER}/{copies[0].folder}/engines/{Path(value).name}"
    if option == "output":
        also = [text.partition("=")[2] for text in ctx.params.get("also", ())]
        for read in filter(None, (ctx.params.get("given"), *also)):
            _check_output(value, read)
        return f"{OUTPUT}/{value.absolute().name}"
    if option == "also":  # NAME=WHAT
        name, equals, what = value.partition("=")
        return f"{name}{equals}{_copied(f'also-{len(copies)}', what, copies)}"
    return _copied(option, value, copies) if option in ("given", "calibrate") else str(value)


def _copied(folder: str, value: Any, copies: list[Any]) -> str:
    """Where a file or folder will lie there; values that are not paths, such as a camera index, are unchanged."""
    from edgekit.remote.agent import FOLDER
    from edgekit.remote.job import Copy

    if not os.path.exists(value):
        return str(value)
    here = Path(value).absolute()
    files = [here] if here.is_file() else sorted(file for file in here.rglob("*") if file.is_file())
    copies.append(Copy(f"inputs/{folder}", {file.relative_to(here.parent).as_posix(): file for file in files}))
    return f"{FOLDER}/inputs/{folder}/{here.name}"


def _check_output(output: Path, given: str) -> None:
    """What comes back must not take the place of what is read."""
    read = Path(given).absolute()
    if read.exists() and output.resolve() in (read.resolve(), read.resolve().parent):
        what = "the overlays would lie among what is read"
        raise EdgekitError(what, where=str(output), fix="give --output a folder of its own")
