"""`edgekit run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from edgekit.cli.on_board import BoardCommand
from edgekit.cli.options import PATH, backend_options, bundle_argument
from edgekit.cli.output import answer, json_option
from edgekit.errors import EdgekitError


@click.command(cls=BoardCommand, epilog="Example: edgekit run bundles/uav.tar --input flight.mp4 --output overlay.mp4")
@bundle_argument
@click.option(
    "--input",
    "given",
    metavar="WHAT",
    help="A photograph, a folder of them, a video, a camera's index (0), a stream's URL, csi://0 on a Jetson, or a "
    "GStreamer pipeline that ends in an appsink. Left out where frames come without rgb: then --also names all.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME=WHAT",
    help="A further modality that the network sees, e.g. thermal=DIR: a folder beside a folder, with files of the same "
    "names, or a film beside a film. Repeatable.",
)
@click.option(
    "--output",
    type=PATH,
    metavar="DIR|VIDEO|PICTURE",
    help="Where overlays go: a folder, a video, or for one photograph a picture. Default: none are made.",
)
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Task to draw; repeatable. Default: the first.")
@click.option("--frames", "limit", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--tile", is_flag=True, help="Frames' own pixels in overlapping tiles of the network's size, blended.")
@click.option("--overlap", type=click.IntRange(0), metavar="PIXELS", help="Of tiles; default: what the network sees.")
@click.option("--steady", is_flag=True, help="Average each frame of a film with those before it, moved as it moves.")
@backend_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    given: str | None,
    also: tuple[str, ...],
    output: Path | None,
    tasks: tuple[str, ...],
    limit: int | None,
    tile: bool,
    overlap: int | None,
    steady: bool,
    as_json: bool,
    **backend: Any,
) -> None:
    """Run BUNDLE over photographs, a video or a camera, and draw its predictions over every frame.

    Overlays have the frame's own size. Frames of a camera that arrive while another one is processed are dropped, so
    that the newest is shown; Ctrl-C ends it. Where the network sees other modalities than rgb, --input is its rgb, or
    else the first of them, and a frame may come without those that it may lack; how many did is said. Exit code 1:
    photographs of a folder could not be read; the others are done.
    """
    from edgekit.bundle.bundle import open_bundle
    from edgekit.runtime.load import load
    from edgekit.runtime.parallel import open_sensors
    from edgekit.runtime.run import open_output, run

    if overlap is not None and not tile:
        raise EdgekitError("only tiles overlap", where="--overlap", fix="add --tile")
    opened = open_bundle(bundle)
    pre = opened.manifest.preprocessing
    seen = [task.name for task in pre.modalities]
    inputs = {"rgb" if "rgb" in seen else seen[0]: given} if given else {}
    inputs |= dict(map(_modality, also))
    names = list(dict.fromkeys(tasks)) or [opened.manifest.tasks[0].name]
    with ExitStack() as stack:
        predictor = stack.enter_context(load(opened, outputs=names, **backend))
        source = open_sensors(inputs, pre.modalities, pre.may_lack)
        stack.callback(source.close)
        sink = stack.enter_context(open_output(output, source)) if output else None
        progress = stack.enter_context(
            _progress(f"running {opened.manifest.name}", min(filter(None, (limit, source.count)), default=None))
        )
        tiled = tile if overlap is None else overlap
        painted = [task for task in opened.manifest.tasks if task.name in names]
        report = run(predictor, source, painted, sink, limit=limit, tile=tiled, steady=steady, progress=progress)
        described = predictor.describe()
    document = {**report, "output": str(output) if output else None, "ran": described}
    answer(as_json, document, "\n".join(_lines(report, described, output)))
    if report["unreadable"]:
        ctx.exit(1)


def _modality(text: str) -> tuple[str, str]:
    name, equals, what = text.partition("=")
    if not (name and equals and what):
        raise EdgekitError(f"'{text}' names no modality", where="--also", fix="write NAME=FOLDER, e.g. thermal=frames")
    return name, what


def _lines(report: dict[str, Any], ran: dict[str, Any], output: Path | None) -> Iterator[str]:
    threads = f", {ran['threads']} thread(s)" if ran["threads"] else ""
    what = f"{ran['lane']}/{ran['precision']} by {ran['runtime']} on {ran['device']}{threads}"
    yield f"frames    {report['frames']} in {report['seconds']:.1f} s" + (
        f", {report['fps']:.1f} fps" if report["fps"] else ""
    )
    for name, key in (("predict", "predict_ms"), ("latency", "latency_ms")):
        if times := report[key]:
            yield f"{name}   {times['p50']:.1f} ms (p50), {times['p95']:.1f} (p95), {times['max']:.1f} (max)"
    if report["dropped"]:
        yield f"dropped   {report['dropped']} stale frames"
    for name, count in report["without"].items():
        yield f"without   {name}: {count} frames"
    yield f"ran       {what}"
    if output:
        yield f"output    {output}"
    if bad := report["unreadable"]:
        yield f"FAILED    {len(bad)} of {report['frames'] + len(bad)} photographs cannot be read and are left out:"
        yield from (f"          {one['file']}: {one['why']}" for one in bad)


@contextmanager
def _progress(title: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    """A bar on stderr, or a spinner where no end is known."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

    from edgekit.cli.progress import bars

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with bars(*columns, TextColumn("{task.fields[note]}", markup=False), TimeRemainingColumn()) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)
