"""`edgekit evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import allow_code_option, backend_options
from edgekit.cli.output import json_option, print_json, print_rich
from edgekit.errors import EdgekitError


@click.command(epilog="Example: edgekit evaluate runs/uav-1a2b3c4d5e --split test")
@click.argument("what", type=click.Path(path_type=Path), metavar="RUN|BUNDLE")
@click.option("--split", default=None, help="Split of the recipe's data; default: its evaluate.split.")
@click.option(
    "--recipe", type=click.Path(path_type=Path), help="For a bundle: recipe or run with the data; default: its own run."
)
@backend_options
@allow_code_option
@json_option
def command(what: Path, split: str | None, recipe: Path | None, as_json: bool, **backend: Any) -> None:
    """Score the models of a run, or the files of a bundle, on a split.

    Of RUN: the single teacher, the ensemble and the students, with pictures. Of BUNDLE: one of its files as the device
    runs it (int8 where there is that), with the fp32 file beside it.
    """
    if not what.exists():
        fix = "give a run's folder, or a bundle's directory or .tar"
        raise EdgekitError("there is no run or bundle here", where=str(what), fix=fix)
    if what.is_file() or (what / "manifest.json").is_file():
        _evaluate_bundle(what, split, recipe, backend, as_json)
        return
    for name, value in {"recipe": recipe, **backend}.items():
        if value is not None:
            raise EdgekitError(f"--{name} is for bundles, and this is none", where=str(what), fix="leave it out")
    _evaluate_run(what, split, as_json)


def _evaluate_run(folder: Path, split: str | None, as_json: bool) -> None:
    from edgekit.cli.scores import score_tables
    from edgekit.pipeline.run import Run, evaluate_run

    opened = Run.open(folder)
    result = evaluate_run(opened, split or opened.recipe.evaluate.split)
    if as_json:
        print_json(result)
    else:
        print_rich(*score_tables(opened.recipe.name, result))
        click.echo("\n".join([f"table     {result['table']}", *(f"picture   {p}" for p in result["pictures"])]))


def _evaluate_bundle(
    path: Path, split: str | None, recipe: Path | None, backend: dict[str, Any], as_json: bool
) -> None:
    from edgekit.bundle.bundle import open_bundle
    from edgekit.cli.scores import score_tables
    from edgekit.pipeline.bundle_scores import evaluate_bundle, open_bench

    opened = open_bundle(path)
    result = evaluate_bundle(opened, open_bench(opened, recipe, Path("runs")), split, **backend)
    if as_json:
        print_json(result)
        return
    print_rich(*score_tables(opened.manifest.name, result))
    if result["not_in_the_data"]:
        click.echo(f"not scored: {', '.join(result['not_in_the_data'])}, which the data has not")
    click.echo(f"{result['frames']} frames of {result['recipe']}, each through the Predictor at its own size")
