"""A recipe's data written in the layout of Dronescapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekit.data.dronescapes.writer import write_dronescapes
from edgekit.data.frameset import FrameSet
from edgekit.errors import EdgekitError
from edgekit.pipeline.workbench import open_data
from edgekit.recipe.schema import Recipe
from edgekit.training.progress import Progress


def convert_data(
    recipe: Recipe,
    base: Path,
    out: Path,
    *,
    tasks: Sequence[str] = (),
    rename: Sequence[str] = (),
    compress: bool = True,
) -> dict[str, Any]:
    """Write every frame of the recipe's data under ``out``; returns counts for people and JSON.

    ``tasks``: default all that are stored. ``rename``: ``TASK=FOLDER`` texts. The recipe's tasks count as labels.
    """
    source = open_data(recipe, base)
    frames = FrameSet(source)
    names = list(tasks) or list(source.tasks)
    with Progress("converting") as bar:
        done = write_dronescapes(
            frames,
            names,
            out,
            labels=list(recipe.tasks),
            rename=dict(_pair(text) for text in rename),
            compress=compress,
            on_bad_file=recipe.data.on_bad_file,
            progress=bar.count,
        )
    return {"out": str(out), "tasks": names, **{k: v for k, v in asdict(done).items() if k != "bad"}} | {
        "bad_files": [asdict(bad) for bad in done.bad]
    }


def _pair(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise EdgekitError(f"'{text}' is not TASK=FOLDER", where="--rename", fix="e.g. semantic=semantic_segprop8")
    return name, folder
