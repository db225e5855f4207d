"""`edgekit bench`: measure a bundle; below it `compare`, `suite` and `report`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.default_command import DefaultGroup
from edgekit.cli.on_board import BoardCommand
from edgekit.cli.options import PATH, backend_options
from edgekit.cli.output import answer, json_option, print_rich


@click.group(cls=DefaultGroup, default="measure")
def command() -> None:
    """Measure a bundle, compare measurements, run and report suites."""


@command.command(
    cls=BoardCommand,
    epilog="Example: edgekit bench measure bundles/uav.tar --threads 2   (the word measure may be left out)",
)
@click.argument("bundle", type=PATH, metavar="BUNDLE|ENGINE")
@backend_options
@click.option(
    "--duration",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    metavar="S",
    help="Measure for at least S seconds.",
)
@click.option(
    "--runs", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="Measure at least N runs."
)
@click.option(
    "--warm-up",
    type=click.FloatRange(0),
    default=0.2,
    show_default=True,
    metavar="S",
    help="Run S seconds before.",
)
@click.option(
    "--frame-size", metavar="HxW", help="Frames of this size, as a camera gives them.  [default: the network's]"
)
@click.option("--cuda-graph", is_flag=True, help="Launch through a CUDA graph (TensorRT).")
@click.option("--layers", is_flag=True, help="Time every layer too, where the backend can.")
@click.option("--soak", metavar="TIME", help="Then run on for TIME (e.g. 30m): memory, temperature, drift of p99.")
@click.option("--match-trtexec", is_flag=True, help="Print the trtexec command that measures the same, and measure.")
@click.option("--output", type=PATH, metavar="FILE", help="Write the JSON document to a file too.")
@json_option
def measure(as_json: bool, **options) -> None:
    """Measure a BUNDLE, or an ENGINE that was built from one: latency end to end (uint8 frame to maps) and of the graph
    alone, throughput, start-up time and memory, with power, temperatures and clocks where the machine reports them.

    At least 3 seconds and 100 runs after the warm-up; percentiles as trtexec defines them. An ENGINE is run by
    tensorrt.
    """
    from edgekit.bench.command import measure_bundle
    from edgekit.bench.document import write_measurement
    from edgekit.bench.show import measurement_tables
    from edgekit.cli.progress import progress_bars

    output = options.pop("output")
    with progress_bars() as progress:
        document = measure_bundle(**options, progress=progress)
    if output:
        write_measurement(document, output)
    if document["unrun"]:
        click.echo(document["unrun"], err=True)
    answer(as_json, document, lambda: print_rich(*measurement_tables(document)))


@command.command(epilog="Example: edgekit bench compare before.json after.json")
@click.argument("a", type=PATH, metavar="A.json")
@click.argument("b", type=PATH, metavar="B.json")
@click.option(
    "--effect",
    type=click.FloatRange(0, 1),
    default=0.03,
    show_default=True,
    metavar="SHARE",
    help="The least change that counts, as a share of A.",
)
@json_option
@click.pass_context
def compare(ctx: click.Context, a: Path, b: Path, effect: float, as_json: bool) -> None:
    """Whether B is slower than A, by a stated statistical rule; exit code 1 if it is.

    A and B are files of `edgekit bench --json`, or of a suite (.jsonl), whose rows are compared one by one.
    """
    from edgekit.bench.compare import compare_files
    from edgekit.bench.show import comparison_tables

    found = compare_files(a, b, effect=effect)
    answer(as_json, found, lambda: print_rich(*comparison_tables(found)))
    if found["regressions"]:
        ctx.exit(1)


@command.command(epilog="Example: edgekit bench suite benchmarks/device_suite.yaml --output suite.jsonl")
@click.argument("suite", type=PATH, metavar="SUITE.yaml")
@click.option("--output", type=PATH, metavar="FILE", help="The rows, one JSON line each.  [default: <name>.jsonl]")
@json_option
@click.pass_context
def suite(ctx: click.Context, suite: Path, output: Path | None, as_json: bool) -> None:
    """Measure every combination of a suite: students × precisions × sizes × power modes.

    Rows are grouped by power mode. Changing the mode needs root and sometimes a reboot: the command says so and ends;
    run again, it continues with the rows that are not measured yet. Exit code 1 if rows failed or are left.
    """
    from edgekit.bench.campaign import run_suite_file

    found = run_suite_file(suite, output, say=lambda line: click.echo(line, err=True))
    counts = f"{found['measured']} rows measured, {found['already']} before, {found['failed']} failed"
    following = found["interruption"] or f"next: edgekit bench report {found['file']}"
    answer(as_json, found, f"{counts}, {found['left']} left: {found['file']}\n{following}")
    if found["failed"] or found["left"]:
        ctx.exit(1)


@command.command(epilog="Example: edgekit bench report suite.jsonl --html suite.html --markdown suite.md")
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--markdown", type=PATH, metavar="FILE", help="Write Markdown.  [default: to stdout]")
@click.option("--html", type=PATH, metavar="FILE", help="Write one HTML page that needs nothing else (extra `train`).")
@click.option("--title", metavar="TEXT", help="Title of the report.  [default: the suite's name]")
@json_option
def report(files: tuple[Path, ...], markdown: Path | None, html: Path | None, title: str | None, as_json: bool) -> None:
    """Tables and plots of measurements: a suite's .jsonl, or any number of .json files."""
    from edgekit.bench.report.markdown import report_markdown
    from edgekit.bench.report.read import read_report
    from edgekit.frames.files import write_text

    found = read_report(files, title)
    text, written = report_markdown(found), []
    if markdown:
        written.append(str(write_text(markdown, text)))
    if html:
        from edgekit.report.bench import bench_page

        written.append(str(write_text(html, bench_page(found))))
    counts = {"rows": len(found.entries), "failed": len(found.failed)}
    answer(as_json, {"title": found.title, **counts, "written": written}, "\n".join(written) or text)
