"""`edgekit build`: a bundle to a TensorRT engine, on the device."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.output import json_option, print_json, print_rich


@click.command(
    "build",
    epilog="Example: edgekit build bundles/uav --precision best",
    short_help="Build a TensorRT engine from a bundle, on the device.",
)
@click.argument("bundle", type=click.Path(path_type=Path), metavar="BUNDLE")
@click.option("--lane", type=click.Choice(["weak", "strong", "cache"]), help="Default: the first that will do.")
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
@click.option(
    "--timing-cache", type=click.Path(path_type=Path), metavar="FILE", help="Default: one per TensorRT and GPU, kept."
)
@click.option(
    "--optimization-level", type=click.IntRange(0, 5), help="Default: TensorRT's own, 3. Lower builds faster."
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
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

    The engine lands in BUNDLE/engines, a plan that trtexec reads and a JSON file beside it. Exits with 1 where it does
    not pass the bundle's golden frames.
    """
    from edgekit.bundle.bundle import open_bundle
    from edgekit.cli.build_report import document, report
    from edgekit.cli.build_watch import watching
    from edgekit.engine.build import UNRUN, BuildOptions, build

    opened = open_bundle(bundle)
    try:
        with watching() as listen:
            engines = build(opened, BuildOptions(**chosen), listen)
    except KeyboardInterrupt:
        click.echo("edgekit: the build was stopped, nothing was written", err=True)
        raise
    if as_json:
        print_json(document(engines))
    else:
        print_rich(*report(engines))
    click.echo(UNRUN, err=True)
    if engines[0].path is None or (engines[0].sidecar.golden is not None and not engines[0].passes):
        ctx.exit(1)
