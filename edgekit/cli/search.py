"""`edgekit search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import PATH, Threads, allow_code_option, recipe_argument, set_option
from edgekit.cli.output import answer, json_option, print_rich
from edgekit.frames.terminal import rich_table


@click.command(epilog="Example: edgekit search uav --budget 5ms --cpu --trials 24")
@recipe_argument
@set_option
@click.option("--budget", required=True, metavar="MS", help="Most that a frame may take, e.g. 5ms.")
@click.option("--cpu", is_flag=True, help="Measure files in onnxruntime here.")
@click.option("--board", metavar="NAME", help="Estimate for this board, e.g. orin-nano-8gb.")
@click.option("--on", metavar="NAME", help="Measure engines on this board, over ssh.")
@click.option("--threads", type=Threads(), metavar="N", help="With --cpu; default: 1.")
@click.option("--trials", type=click.IntRange(1), default=24, show_default=True, help="Candidates to train in all.")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUES",
    help="Vary a key too, or over other values: student.width=16,32 or distill.train.learning_rate=1e-3:1e-2:log.",
)
@click.option("--study", type=PATH, metavar="DIR", help="Folder of the study; default: runs/search-NAME.")
@click.option("--storage", metavar="URL", help="Where Optuna keeps the study; default: an SQLite file in the folder.")
@allow_code_option
@json_option
def command(as_json: bool, **options: Any) -> None:
    """Search the student of RECIPE in other shapes, for the most accurate one within a budget of milliseconds.

    Candidates over the budget are dropped before any training. The others learn from the same teachers' targets and are
    compared on a quarter of train that is held back; val is not read. The same command goes on after Ctrl-C, and run
    several times at once, also on machines that share the folder and the storage, they work together.
    """
    latency = _latency(options.pop("cpu"), options.pop("board"), options.pop("on"), options.pop("threads"))
    from edgekit.search.command import search_recipe

    found = search_recipe(options.pop("recipe"), options.pop("overrides"), latency, **options)
    answer(as_json, found, lambda: _print(found))


def _latency(cpu: bool, board: str | None, on: str | None, threads: int | None) -> Any:
    from edgekit.errors import EdgekitError

    asked = [name for name, given in (("--cpu", cpu), ("--board", board), ("--on", on)) if given]
    if len(asked) != 1:
        what = f"{' and '.join(asked)} contradict each other" if asked else "no device to time the student on was given"
        raise EdgekitError(what, where="edgekit search", fix="give one of --cpu, --board NAME and --on NAME")
    if threads and not cpu:
        raise EdgekitError("--threads is for --cpu", where="--threads", fix="leave it out")
    from edgekit.search.latency import Estimated, OnBoard, OnCpu

    return OnCpu(threads or 1) if cpu else Estimated(board) if board else OnBoard(on)


def _print(found: dict[str, Any]) -> None:
    from edgekit.report.search import shape_label

    rows = []
    for p in (p for p in found["points"] if p["front"]):
        band = " ({:.2f} to {:.2f})".format(*p["band_ms"]) if p["band_ms"] else ""
        numbers = f"{p['score']:.4f}", f"{p['ms']:.2f}{band}", f"{p['memory'] / 1e6:.2f}", f"{p['parameters']:,}"
        rows.append((str(p["number"]), *numbers, shape_label(p["values"], found["points"]), p["run"]))
    columns = ("candidate", found["metric"], "ms", "memory, MB", "parameters", "shape", "run")
    print_rich(rich_table(f"front of {found['recipe']}: {found['latency']}", columns, rows, right=columns[:5]))
    best: Path | None = next((p["run"] for p in found["points"] if p["number"] == found["best"]), None)
    lines = [f"{count} left: {why}" for why, count in found["left"].items()]
    lines += [f"best      {best}/recipe.yaml", f"train it  edgekit distill {best}"] if best else ["best      none"]
    click.echo("\n".join([*lines, f"page      {found['page']}"]))
