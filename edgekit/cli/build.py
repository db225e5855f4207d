"""`edgekit build`: a bundle to a TensorRT engine, on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from edgekit.cli.on_board import BoardCommand
from edgekit.cli.options import PATH, bundle_argument
from edgekit.cli.output import answer, json_option, print_rich


@click.command(
    "build",
    cls=BoardCommand,
    epilog="Example: edgekit build bundles/uav --precision best",
    short_help="Build a TensorRT engine from a bundle, on the device.",
)
@bundle_argument
@click.option(
    "--lane",
    type=click.Choice(["weak", "strong", "cache"]),
    help="Default: the first that this TensorRT builds.",
)
@click.option(
    "--precision",
    type=click.Choice(["best", "fp32", "fp16", "int8"]),
    default="best",
    show_default=True,
    help="best: build fp16 and int8, keep the faster one that passes the golden frames.",
)
@click.option("--dla", "dla_core", type=click.IntRange(0), metavar="CORE", help="Run on this DLA core.")
@click.option("--gpu-fallback", is_flag=True, help="With --dla: what the DLA cannot do runs on the GPU.")
@click.option("--workspace", type=click.IntRange(1), metavar="MIB", help="Scratch memory. Default: what fits.")
@click.option("--timing-cache", type=PATH, metavar="FILE", help="Default: one per TensorRT and GPU, kept.")
@click.option(
    "--optimization-level", type=click.IntRange(0, 5), help="Default: TensorRT's own, 3. Lower builds faster."
)
@click.option(
    "--calibrate",
    type=PATH,
    metavar="FRAMES",
    help="Measure int8 ranges here, on a folder of images (TensorRT up to 10).",
)
@click.option(
    "--calibrator", "algorithm", type=click.Choice(["entropy", "minmax"]), default="entropy", show_default=True
)
@json_option
@click.pass_context
def command(ctx: click.Context, bundle: Path, as_json: bool, **chosen) -> None:
    """Build a TensorRT engine from BUNDLE for the GPU or DLA of this machine.

    The engine is written to BUNDLE/engines: a plan that trtexec reads, and a JSON file beside it. Exit code 1: it does
    not pass the bundle's golden frames.
    """
    from edgekit.bundle.bundle import open_bundle
    from edgekit.engine.build import UNRUN, BuildOptions, build

    opened = open_bundle(bundle)
    try:
        with _progress() as listen:
            engines = build(opened, BuildOptions(**chosen), listen)
    except KeyboardInterrupt:
        click.echo("edgekit: the build was stopped, nothing was written", err=True)
        raise
    answer(as_json, _document(engines), lambda: print_rich(*_report(engines)))
    click.echo(UNRUN, err=True)
    if engines[0].path is None or (engines[0].sidecar.golden is not None and not engines[0].passes):
        ctx.exit(1)


def _document(engines: Sequence) -> dict[str, Any]:
    """For ``--json``: the kept engine's path, and every engine's sidecar with the reason why it was not kept."""
    from edgekit.engine.build import UNRUN
    from edgekit.engine.layers import count_layers

    return {
        "kept": str(engines[0].path) if engines[0].path else None,
        "engines": [
            {
                "path": str(b.path) if b.path else None,
                "reason": b.reason,
                "passes": b.passes,
                "layers": count_layers(b.sidecar.layers),
                "sidecar": dataclasses.asdict(b.sidecar),
            }
            for b in engines
        ],
        "unrun": UNRUN,
    }


def _report(engines: Sequence) -> list[Any]:
    """Rich renderables: a table of the engines, then what was kept and why."""
    from rich.table import Table

    from edgekit.engine.layers import count_layers

    table = Table("precision", "lane", "size", "built in", "GPU compute", "golden frames", "layers", box=None)
    for built in engines:
        side = built.sidecar
        golden = "not checked" if side.golden is None else "pass" if built.passes else "FAIL"
        layers = ", ".join(f"{count} {name}" for name, count in count_layers(side.layers).items()) or "unknown"
        compute = f"{side.timing['compute_ms']:.3f} ms" if side.timing else "-"
        size = f"{side.plan_bytes / 2**20:.2f} MiB"
        table.add_row(side.precision, side.lane, size, f"{side.seconds:.1f} s", compute, golden, layers)
    kept = engines[0]
    lines = [f"kept: {kept.path}" if kept.path else "kept: none"]
    lines += [f"{b.sidecar.precision} was not kept: {b.reason}" for b in engines if b.reason]
    lines += [f"note: {note}" for note in kept.sidecar.notes]
    where = kept.sidecar.installed
    mode = f", power mode {kept.sidecar.power_mode}" if kept.sidecar.power_mode else ""
    lines.append(f"for TensorRT {where.tensorrt} on {where.gpu} (sm {where.sm}){mode}; plans do not move")
    return [table, *lines]


@contextmanager
def _progress() -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """A listener for ``edgekit.engine.build.build``: a bar on stderr per engine, with TensorRT's current phase."""
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    from edgekit.cli.progress import bars

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with bars(*columns) as progress:
        lines: dict[str, Any] = {}

        def listen(engine: str, event: dict[str, Any]) -> None:
            if engine not in lines:
                lines[engine] = progress.add_task(engine, total=None)
            line = lines[engine]
            if "progress" in event:
                phase, done, steps = event["progress"]
                progress.update(line, description=f"{engine}: {phase}", completed=done, total=steps or None)
            elif "started" in event:
                silent = "" if event["started"]["monitored"] else " (this TensorRT does not say how far it is)"
                progress.update(line, description=f"{engine}: building{silent}")
            elif "checking" in event:
                progress.update(line, description=f"{engine}: golden frames and timing", completed=0, total=None)

        yield listen
