"""`edgekit data`: a data set from films, or from another one, and which of its frames to label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import PATH, allow_code_option, recipe_argument, set_option
from edgekit.cli.output import answer, json_option, print_rich
from edgekit.frames.terminal import rich_table


@click.group("data", epilog="Example: edgekit data extract pipeline.yaml --out data/flights")
def command() -> None:
    """Make a data set of one npz per frame and task: from films, or from a recipe's data."""


@command.command(
    "convert",
    epilog="Example: edgekit data convert recipes/uav.yaml --out data/uav --rename semantic=semantic_segprop8",
)
@recipe_argument
@set_option
@click.option("--out", type=PATH, required=True, help="Folder of the sets; made if need be.")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Write this one; repeatable. Default: all stored.")
@click.option("--rename", multiple=True, metavar="TASK=FOLDER", help="Another name for a task's folder; repeatable.")
@click.option("--compress/--no-compress", default=True, show_default=True, help="Smaller files, or faster ones.")
@allow_code_option
@json_option
def convert(recipe: Path, overrides: tuple[str, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Write the frames of RECIPE in the layout of Dronescapes: OUT/train_set/rgb/NAME.npz and so on.

    The source `dronescapes` reads that layout, and so do other readers of it. After an interrupt the same command
    continues the conversion.
    """
    from edgekit.pipeline.conversion import convert_data
    from edgekit.recipe.load import find_recipe

    done = convert_data(*find_recipe(recipe, overrides), out, **options)
    sets = ", ".join(f"{count} in {name}" for name, count in done["frames"].items())
    lines = [f"skipped {bad['where']}: {bad['reason']}" for bad in done["bad_files"]]
    lines += [
        f"frames  {sets}",
        f"files   {done['written']} written, {done['kept']} there already, {done['bytes'] / 2**20:.1f} MiB",
        f"out     {done['out']}",
    ]
    answer(as_json, done, "\n".join(lines))


class ShardType(click.ParamType):
    """``I/N``, I from 1."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        index, slash, count = str(value).partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            self.fail(f"'{value}' is not I/N with I from 1 to N, such as 2/8", param, ctx)
        return int(index) - 1, int(count)


class EngineType(click.ParamType):
    """``ray`` or ``ray:ADDRESS``."""

    name = "engine"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value.partition(":")[0] != "ray":
            self.fail(f"'{value}' is not ray, or ray:ADDRESS such as ray:10.0.0.1:6379", param, ctx)
        return value


@command.command("extract", epilog="Example: edgekit data extract pipeline.yaml --out data/flights --shard 1/4")
@click.argument("pipeline", type=PATH, metavar="PIPELINE")
@set_option
@click.option("--out", type=PATH, required=True, help="Folder of the sets; made if need be.")
@click.option(
    "--layout",
    type=click.Choice(["dronescapes", "vre"]),
    default="dronescapes",
    show_default=True,
    help="OUT/SET/MAP/FRAME.npz, or as video-representations-extractor has them: OUT/SET/FILM/MAP/npz/NUMBER.npz.",
)
@click.option("--shard", type=ShardType(), default="1/1", help="Only this share of the frames, for several machines.")
@click.option(
    "--engine",
    type=EngineType(),
    metavar="ray[:ADDRESS]",
    help="Make the maps on a Ray cluster: the one at ADDRESS, the one that is there, or this machine.",
)
@click.option("--retry-failed", is_flag=True, help="Try frames again that failed before.")
@allow_code_option
@json_option
@click.pass_context
def extract(
    ctx: click.Context, pipeline: Path, overrides: tuple[str, ...], out: Path, as_json: bool, **options: Any
) -> None:
    """Make the maps of PIPELINE, a YAML file, for every frame of its films, one npz each.

    The source `dronescapes` reads both layouts. What is there and up to date is kept, so the same command goes on after
    an interrupt, a new film or a changed task. Exit code 1 where a frame failed; the others are made all the same.
    """
    from edgekit.extract.command import extract_data

    if options["engine"] and options["shard"] != (0, 1):
        raise click.UsageError("--engine shares the frames out itself: leave --shard out")
    done = extract_data(pipeline, overrides, out, **options)
    lines = [f"{task:32} {n['written']} written, {n['kept']} there already" for task, n in done["tasks"].items()]
    lines += [f"failed  {failure['where']}: {failure['what']}" for failure in done["failed"]]
    lines.append(f"{done['frames']} frames in {done['seconds']:.1f} s: {out}")
    answer(as_json, done, "\n".join(lines))
    ctx.exit(1 if done["failed"] else 0)


_DIR = click.argument("folder", type=PATH, metavar="DIR")


@command.command("status", epilog="Example: edgekit data status data/flights")
@_DIR
@json_option
@click.pass_context
def status(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """How many maps of DIR, a result of `edgekit data extract`, are there, out of date, failed and missing.

    Exit code 1 where it is not complete.
    """
    from edgekit.extract.command import status_of

    found = status_of(folder)
    answer(as_json, found, lambda: _print_status(folder, found))
    ctx.exit(0 if found["complete"] else 1)


def _print_status(folder: Path, found: dict[str, Any]) -> None:
    counts = ("frames", "done", "stale", "failed", "missing")
    rows, lines = [], []
    for task in found["films"][0]["tasks"] if found["films"] else []:
        rate = found["maps_per_second"].get(task)
        totals = [sum(film["tasks"][task][count] for film in found["films"]) for count in counts]
        rows.append([task, *map(str, totals), f"{rate:.1f}" if rate else ""])
    for film in found["films"]:
        for task, cell in film["tasks"].items():
            wrong = [f"{cell[count]} {count}" for count in counts[2:] if cell[count]]
            lines += [f"{film['set']}/{film['film']}  {task}: {', '.join(wrong)}"] if wrong else []
    lines += [f"{film}  not read to its end yet" for film in found["unread_films"]]
    lines += [f"failed  {failure['where']}: {failure['what']}" for failure in found["failed"]]
    if found["extra_files"]:
        lines.append(f"{found['extra_files']} files are of frames that the pipeline does not take")
    title = f"{folder}: {len(found['films'])} films"
    print_rich(rich_table(title, ["map", *counts, "per second"], rows, right=[*counts, "per second"]))
    click.echo("\n".join(lines))


@command.command("verify", epilog="Example: edgekit data verify data/flights --remove")
@_DIR
@click.option("--remove", is_flag=True, help="Remove files that are no good: the next extraction makes them again.")
@json_option
@click.pass_context
def verify(ctx: click.Context, folder: Path, remove: bool, as_json: bool) -> None:
    """Read every map of DIR, a result of `edgekit data extract`: checksum, type, shape and range.

    Exit code 1 where one is no good.
    """
    from edgekit.extract.command import verify_maps

    found = verify_maps(folder, remove=remove)
    lines = [f"{bad['file']}: {bad['what']}" for bad in found["bad"]]
    lines.append(f"{found['files']} files, {len(found['bad'])} of them no good, {found['removed']} removed")
    answer(as_json, found, "\n".join(lines))
    ctx.exit(1 if found["bad"] else 0)


@command.command("show", epilog="Example: edgekit data show data/flights --out flights.html")
@_DIR
@click.option("--out", type=PATH, required=True, help="The page, one HTML file that needs nothing else.")
@click.option("--frames", type=click.IntRange(1, 200), default=8, show_default=True, help="So many of all frames.")
@json_option
def show(folder: Path, out: Path, frames: int, as_json: bool) -> None:
    """Show maps of DIR, a result of `edgekit data extract`, side by side, with their values and worst disagreements."""
    from edgekit.extract.show import show as page
    from edgekit.frames.files import write_text

    write_text(out, page(folder, frames))
    answer(as_json, {"out": str(out)}, str(out))


class WeightsType(click.ParamType):
    """``quality=1,relevance=2``."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        names, found = ("quality", "relevance", "diversity"), {}
        for part in str(value).split(","):
            name, _, number = (text.strip() for text in part.partition("="))
            try:
                found[name] = float(number)
            except ValueError:
                found[name] = -1.0
            if name not in names or not 0 <= found[name] <= 10:
                self.fail(f"'{part}' is not NAME=NUMBER with one of {', '.join(names)} and 0 to 10", param, ctx)
        return found


@command.command("select", epilog="Example: edgekit data select data/flights --count 70 --out label_these.txt")
@click.argument("source", type=PATH, metavar="RUN|RECIPE|DIR")
@set_option
@click.option("--count", type=click.IntRange(1), required=True, metavar="N", help="So many frames.")
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The list; FILE.html beside it shows it.")
@click.option("--keep", type=PATH, metavar="LIST", help="Frames that are labelled already: listed first, not counted.")
@click.option(
    "--weights",
    type=WeightsType(),
    metavar="NAME=W,…",
    help="How much quality, relevance and diversity count: 0 is not at all; default: each 1.",
)
@click.option(
    "--method",
    type=click.Choice(["facility-location", "k-centre"]),
    default="facility-location",
    show_default=True,
    help="Frames like many others, or also the most unusual ones.",
)
@click.option("--images", type=PATH, metavar="DIR", help="Write the chosen frames there as PNG, for the annotator.")
@json_option
def select(source: Path, overrides: tuple[str, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Choose the frames that are most worth a label: in good quality, hard for the teachers, unlike each other.

    The frames are those of a folder of photographs, of a result of `edgekit data extract` but for its sets of
    validation and test, or of the train split of a recipe or run. What experts or the run's ensemble predict tells
    which are hard. A recipe's data.labelled and --calibration-frames of export and quantize take the list.
    """
    from edgekit.pipeline.selection import select_frames

    found = select_frames(source, overrides, out, **options)
    lines = [f"not read  {bad['frame']}: {bad['what']}" for bad in found["unread"]]
    near, even = found["mean_distance"], found["mean_distance_evenly_spaced"]
    lines += [
        f"chosen    {len(found['chosen'])} of {found['frames']} frames, {len(found['kept'])} kept",
        f"distance  {near:.3f} of a frame to the nearest chosen one, on the mean; of as many evenly spaced: {even:.3f}",
        f"list      {found['out']}",
        f"page      {found['page']}",
    ]
    answer(as_json, found, "\n".join(lines))
