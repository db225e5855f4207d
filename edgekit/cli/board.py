"""`edgekit board`: boards by name, over the system's own ssh."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from edgekit.bench.soak import parse_duration
from edgekit.bundle.bundle import open_bundle
from edgekit.cli.on_board import bring_sidecars, bundle_copy
from edgekit.cli.options import PATH, bundle_argument
from edgekit.cli.output import answer, json_option, print_json, print_rich
from edgekit.cli.progress import progress_bars
from edgekit.errors import EdgekitError
from edgekit.remote import checklist, registry
from edgekit.remote import install as installing
from edgekit.remote.connection import Connection
from edgekit.remote.job import bring, perform

_name = click.argument("name", metavar="NAME")


@click.group("board", epilog="Example: edgekit board add orin user@192.168.55.1")
def command() -> None:
    """Name boards, install edgekit on them, check them; then build, verify, bench and run have --on NAME."""


@command.command("add", epilog="Example: edgekit board add orin user@192.168.55.1")
@_name
@click.argument("host", metavar="USER@HOST")
@click.option(
    "--folder", default="edgekit", show_default=True, help="Where everything lies there, from the home folder."
)
@json_option
def add(name: str, host: str, folder: str, as_json: bool) -> None:
    """Call the machine at USER@HOST (or a Host of ~/.ssh/config) NAME. Nothing is done there yet.

    Ports, keys and jump hosts are those of your ssh configuration. Passwords are never asked for.
    """
    board = registry.RemoteBoard(name, host, folder)
    registry.add(board)
    answer(as_json, board.__dict__, f"next: edgekit board install {name}")


@command.command("list", epilog="Example: edgekit board list")
@json_option
def list_boards(as_json: bool) -> None:
    """List the boards that were named."""
    from rich.table import Table

    known = registry.boards().values()
    table = Table("name", "address", "folder there", box=None)
    for board in known:
        table.add_row(board.name, board.host, board.folder)
    document = {"file": str(registry.file()), "boards": [board.__dict__ for board in known]}
    answer(as_json, document, lambda: print_rich(table if known else "no boards; edgekit board add NAME USER@HOST"))


@command.command("remove", epilog="Example: edgekit board remove orin")
@_name
@json_option
def remove(name: str, as_json: bool) -> None:
    """Forget the board NAME. What was installed there stays."""
    board = registry.remove(name)
    answer(
        as_json,
        board.__dict__,
        f"forgotten; what lies there is removed by: ssh {board.host} rm -r {shlex.quote(board.folder)}",
    )


@command.command("install", epilog="Example: edgekit board install orin")
@_name
@json_option
@click.pass_context
def install(ctx: click.Context, name: str, as_json: bool) -> None:
    """Install this edgekit on the board NAME, which needs no network, and let `edgekit doctor` look at it.

    Wheels for its Python and architecture are downloaded here and kept. pycuda, which has no wheels, is compiled on the
    board. Exit code 1: something stands in the way of building an engine there.
    """
    board = registry.find(name)
    with Connection(board) as connection:
        hello = connection.hello
    installing.check_board(hello, name)
    click.echo(f"edgekit: '{name}' is {hello['machine']} with Python {hello['python']}; looking for wheels", err=True)
    wheels = installing.wheelhouse(hello, pycuda=hello["tensorrt"] and not hello["pycuda"])
    steps = installing.steps(hello, wheels, as_json)
    with Connection(board) as connection:  # anew: a download may take minutes
        codes, stdout = perform(connection, f"edgekit board install {name}", steps, [wheels], progress_bars)
    if len(codes) < len(steps):
        where = steps[len(codes) - 1].say.strip().removeprefix("edgekit: ")
        what = f"board '{name}': a step of the installation failed there with exit code {codes[-1]}; see above"
        raise EdgekitError(what, where=where, fix=f"see what it says above, then: edgekit board install {name}")
    if as_json:
        print_json({**board.__dict__, "hello": hello, "wheels": list(wheels.files), "doctor": json.loads(stdout)})
    else:
        click.echo(stdout, nl=False)
    ctx.exit(codes[-1])


@command.command("check", epilog="Example: edgekit board check orin bundles/uav")
@_name
@bundle_argument
@click.option("--soak", default="10m", show_default=True, metavar="TIME", help="How long the last measurement goes on.")
@click.option("--output", type=PATH, metavar="FILE", help="[default: edgekit-report-NAME.tar.gz]")
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, bundle: Path, soak: str, output: Path | None, as_json: bool) -> None:
    """Work through docs/on_device.md on the board NAME; all that was found comes back as one file to send.

    Exit code 1 where a step ends otherwise than it should.
    """
    parse_duration(soak, "--soak")
    board, opened = registry.find(name), open_bundle(bundle)
    copy, items = bundle_copy(opened), checklist.items(soak)
    file = output or Path(f"edgekit-report-{name}.tar.gz")

    def collect(there: str) -> None:
        bring(connection, there, lambda _: file)
        bring_sidecars(connection, opened)

    with Connection(board) as connection:
        installing.check_installed(connection.hello, name)
        steps = checklist.steps(copy.folder, items)
        codes, _ = perform(connection, f"edgekit board check {name}", steps, [copy], progress_bars, collect)
    found = [
        {"line": line, "exit_code": code, "holds": code in expected}
        for (line, expected), code in zip(items, codes[1:-1], strict=True)
    ]
    wrong = [one for one in found if not one["holds"]]
    lines = [f"otherwise than expected, exit code {one['exit_code']}: {one['line']}" for one in wrong]
    lines.append(f"{len(found) - len(wrong)} of {len(found)} steps ended as they should; to send back: {file}")
    answer(as_json, {"file": str(file), "steps": found, "holds": not wrong}, "\n".join(lines))
    ctx.exit(1 if wrong else 0)
