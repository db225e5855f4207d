"""`edgekit compile`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import PATH
from edgekit.cli.output import answer, json_option, print_rich
from edgekit.cli.student_options import size_option
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit compile bundles/uav-jetson --compute-capability 8.6,8.9,12.0")
@click.argument("subject", metavar="BUNDLE|ONNX|STUDENT")
@click.option(
    "--compute-capability",
    "capabilities",
    default="8.6",
    show_default=True,
    metavar="LIST",
    help="CUDA compute capabilities to build for, e.g. 8.6,8.9,12.0.",
)
@click.option("--lane", type=click.Choice(["weak", "strong", "cache"]), default=None, help="Files of this lane alone.")
@size_option("Frame size of a student, or where a graph leaves it open.")
@click.option("--save", type=PATH, metavar="DIR", help="Keep engines and pictures there.")
@click.option("--keep", is_flag=True, help="Keep a bundle's engines with it, for an RTX GPU: the strong lane's alone.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    subject: str,
    capabilities: str,
    lane: str | None,
    size: tuple[int, int] | None,
    save: Path | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Parse and build a graph with TensorRT for RTX, which runs on a CPU, and say which kernels it makes.

    All files are read as strongly typed networks. It is NVIDIA's compiler for desktop GPUs: it shows whether a file is
    accepted and how it is fused, and nothing about speed or memory on a Jetson. Exit code 1: a file was refused.
    """
    from edgekit.pipeline.compile import compile_subject
    from edgekit.pipeline.rtx_engines import LANE, keep_engines

    words = [word.strip() for word in capabilities.split(",")]
    bundle = _bundle(subject, lane) if keep else None
    lane = LANE if keep else lane
    found = []
    for compiled in compile_subject(subject, lane=lane, size=size, capabilities=words):
        found.append(compiled)
        if not as_json:
            _print(compiled)
        if save and compiled.engine:
            _save(compiled, save)
    kept = [str(path) for path in keep_engines(bundle, found, words)] if bundle else []
    taken, files = all(compiled.taken for compiled in found), [compiled.to_json() for compiled in found]
    lines = "".join(f"kept {path}: built, not run\n" for path in kept)
    answer(as_json, {"taken": taken, "files": files, "engines": kept}, lambda: click.echo(lines, nl=False))
    if not taken:
        ctx.exit(1)


def _bundle(subject: str, lane: str | None):
    from edgekit.bundle.bundle import open_bundle
    from edgekit.errors import EdgekitError
    from edgekit.pipeline.rtx_engines import LANE

    if lane not in (None, LANE):
        raise EdgekitError(
            f"TensorRT for RTX has no {lane} lane to run", where="--keep", fix="leave --lane out, or --keep"
        )
    return open_bundle(subject)


def _print(compiled) -> None:
    from edgekit.pipeline.compile import verdict

    click.echo(f"{compiled.subject}: {verdict(compiled)}  (TensorRT for RTX {compiled.version})")
    for warning in compiled.warnings:
        click.echo(f"  it warns: {warning}")
    engine = compiled.engine
    if engine is None:
        return
    memory = [
        f"{name} {value:,} bytes"
        for name, value in (("activations", engine.activation_bytes), ("weights", engine.weight_bytes))
        if value is not None
    ]
    click.echo(f"  built in {engine.seconds:.1f} s; {', '.join(memory)}; plan {len(engine.plan):,} bytes")
    for line in engine.not_understood:
        click.echo(f"  not understood: {line[:200]}")
    rows = []
    for place, kernel in enumerate(engine.kernels, 1):
        reads, writes = (", ".join(dict.fromkeys(t.type for t in ts)) for ts in (kernel.reads, kernel.writes))
        rows.append((str(place), kernel.kind, reads, writes, ", ".join(kernel.nodes)))
    print_rich(rich_table(None, ("", "kernel", "reads", "writes", "ONNX nodes in it"), rows))


def _save(compiled, folder: Path) -> None:
    from edgekit.compile.picture import picture
    from edgekit.frames.files import atomic_write, writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stem = Path(compiled.subject).stem
    with atomic_write(folder / f"{stem}.rtx") as file:
        file.write_bytes(compiled.engine.plan)
    figure = picture(compiled.engine.kernels, f"{compiled.subject}, {len(compiled.engine.kernels)} kernels")
    with atomic_write(folder / f"{stem}.svg") as file:
        figure.savefig(file, format="svg")
