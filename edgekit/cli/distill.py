"""`edgekit distill`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import PATH, allow_code_option, set_option
from edgekit.cli.output import answer, json_option, print_rich


@click.command(epilog="Example: edgekit distill recipes/uav.yaml --set student.width=32")
@click.argument("recipe_or_run", type=PATH, metavar="RECIPE|RUN")
@set_option
@click.option("--out", type=PATH, default="runs", show_default=True, help="Folder of runs.")
@click.option(
    "--baseline/--no-baseline", default=True, show_default=True, help="Also train the student on labels only."
)
@click.option("--jobs", type=click.IntRange(1), help="Networks trained at once on a CPU; default: one per core.")
@click.option("--track", metavar="tensorboard", help="Also write the run for TensorBoard, into its own folder.")
@allow_code_option
@json_option
@click.pass_context
def command(ctx: click.Context, recipe_or_run: Path, as_json: bool, **options: Any) -> None:
    """Train the teachers of RECIPE, compute the ensemble's targets, distil the student and score everything.

    Finished stages are skipped and interrupted ones continue, so after Ctrl-C give the same command again, or the run's
    folder in place of the recipe. Under `torchrun … -m edgekit distill …` all processes train together. Exit code 1:
    it ran, but a requirement that the recipe states does not hold.
    """
    from edgekit.api import distill

    result = distill(recipe_or_run, **options)
    if result is None:  # another process of this run prints it
        return
    answer(as_json, result.document, lambda: _print(result.recipe, result.document))
    if not result.holds:
        ctx.exit(1)


def _print(name: str, result: dict) -> None:
    from edgekit.cli.scores import score_tables
    from edgekit.pipeline.trial import describe_trial

    if "scores" in result:
        print_rich(*score_tables(name, result))
    lines = [f"trial: {describe_trial(result['trial'])}"]
    lines += [f"{'holds' if r['holds'] else 'FAILS'}: {r['name']} ({r['found']})" for r in result["requirements"]]
    lines += [f"skipped   {bad['where']}: {bad['reason']}" for bad in result["bad_files"]]
    if "scores" not in result:
        lines += ["", "stopped before the targets; to go on all the same set distill.unless_better=warn"]
        click.echo("\n".join(lines))
        return
    lines += [
        "",
        f"student   {result['student']}  ({result['parameters']:,} parameters)",
        f"table     {result['table']}",
        *(f"picture   {path}" for path in result["pictures"]),
        f"targets   {result['target_bytes_per_frame']:,} bytes per frame, of {result['ensemble']}",
        "minutes   " + ", ".join(f"{stage} {seconds / 60:.1f}" for stage, seconds in result["seconds"].items()),
    ]
    click.echo("\n".join(lines))
