"""`--on NAME`: a command of the device half that runs on a board instead of here."""

from __future__ import annotations

import re
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
    from edgekit.remote.job import Copy

    folder = "bundles/" + re.sub(r"[^A-Za-z0-9_-]", "_", bundle.manifest.name)
    return Copy(folder, {name: bundle.folder / name for name in (MANIFEST, *bundle.manifest.files)}, ENGINES)


def bring_sidecars(connection: Any, bundle: Any) -> list[Path]:
    """What the board's engines were built from and how they did; a folder per board beside the bundle's own engines."""
    from edgekit.remote.job import bring
    from edgekit.runtime.tensorrt.locate import engine_folder

    place = engine_folder(bundle) / connection.board.name
    return bring(connection, f"{bundle_copy(bundle).folder}/engines", place.joinpath, ".plan.json")


def _run(ctx: click.Context, name: str) -> int:
    from edgekit.bundle.bundle import open_bundle
    from edgekit.cli.progress import bars
    from edgekit.remote import registry
    from edgekit.remote.agent import FOLDER
    from edgekit.remote.connection import Connection
    from edgekit.remote.install import check_installed
    from edgekit.remote.job import Step, bring, perform

    board = registry.find(name)
    bundle = open_bundle(ctx.params["bundle"])
    copies = [bundle_copy(bundle)]
    words = _words(ctx, copies)
    group = ctx.command_path.split()[1]
    shown = shlex.join(["edgekit", group, bundle.manifest.name, *words]).replace(FOLDER, "")
    command = [f"{FOLDER}/venv/bin/edgekit", group, f"{FOLDER}/{copies[0].folder}", *words]
    with Connection(board) as connection:
        check_installed(connection.hello, name)
        ended = perform(connection, shown, [Step(command, prints=True)], copies, bars)
        brought = bring_sidecars(connection, bundle) if group == "build" else []
        if output := ctx.params.get("output"):
            brought += bring(connection, ended.output, output.absolute().parent.joinpath)
        connection.ask("forget")
    code = ended.codes[-1]
    if ended.stopped and code:
        raise KeyboardInterrupt
    sys.stdout.write(ended.stdout)
    if brought:
        click.echo(f"edgekit: brought back from '{name}': {_summary(brought)}", err=True)
    return code if code >= 0 else 128 - code


def _words(ctx: click.Context, copies: list[Any]) -> list[str]:
    """The options as they were given, with paths as they are on the board; ``copies`` gets what must lie there."""
    words = []
    for option in ctx.command.params:
        value = ctx.params.get(option.name)
        given = ctx.get_parameter_source(option.name) is not click.core.ParameterSource.DEFAULT
        if not isinstance(option, click.Option) or option.name == "on" or not given:
            continue
        if option.is_flag:
            words.append(option.opts[0])
            continue
        values = value if option.multiple else [value]
        words += [f"{option.opts[0]}={_there(ctx, option.name, one, copies)}" for one in values]
    return words


def _there(ctx: click.Context, option: str, value: Any, copies: list[Any]) -> str:
    from edgekit.remote.agent import FOLDER
    from edgekit.remote.job import Copy

    if option == "engine":
        return f"{FOLDER}/{copies[0].folder}/engines/{Path(value).name}"
    if option == "output":
        _check_output(value, ctx.params.get("given"))
        return f"output/{value.absolute().name}"
    if option not in ("given", "calibrate") or not Path(value).exists():
        return str(value)
    here = Path(value).absolute()
    files = [here] if here.is_file() else sorted(f for f in here.rglob("*") if f.is_file())
    copies.append(Copy(f"inputs/{option}", {f.relative_to(here.parent).as_posix(): f for f in files}))
    return f"{FOLDER}/inputs/{option}/{here.name}"


def _check_output(output: Path, given: str | None) -> None:
    """What comes back must not take the place of what is read."""
    read = Path(given).absolute() if given else None
    if read and read.exists() and output.resolve() in (read.resolve(), read.resolve().parent):
        what = "the overlays would lie among what is read"
        raise EdgekitError(what, where=str(output), fix="give --output a folder of its own")


def _summary(files: list[Path]) -> str:
    return ", ".join(map(str, files)) if len(files) < 4 else f"{len(files)} files in {files[0].parent}"
