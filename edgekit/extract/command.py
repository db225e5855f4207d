"""What `edgekit data extract`, `status`, `verify` and `show` do, as results for people and JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekit.extract.by_ray import extract_by_ray
from edgekit.extract.config import Pipeline
from edgekit.extract.files import LAYOUTS, Failure
from edgekit.extract.run import extract
from edgekit.extract.status import status, verify
from edgekit.recipe.load import load_recipe
from edgekit.training.progress import Progress


def extract_data(
    pipeline: Path,
    overrides: Sequence[str],
    out: Path,
    *,
    layout: str = LAYOUTS[0],
    shard: tuple[int, int] = (0, 1),
    retry_failed: bool = False,
    engine: str | None = None,
) -> dict[str, Any]:
    """Run a pipeline's file here, or with ``engine`` ``ray`` or ``ray:ADDRESS`` on a cluster.

    EdgekitError as of ``load_recipe``, ``extract`` and ``extract_by_ray``.
    """
    config = load_recipe(Pipeline, pipeline, overrides).extract
    began = time.monotonic()
    with Progress("extracting") as bar:
        options = {"layout": layout, "retry_failed": retry_failed, "progress": bar.count}
        if engine:
            address = engine.partition(":")[2] or None
            done = extract_by_ray(config, pipeline.parent, out, address=address, **options)
        else:
            done = extract(config, pipeline.parent, out, shard=shard, **options)
    tasks = ["rgb", *config.tasks]
    return {
        "out": str(out),
        "frames": done.frames,
        "seconds": time.monotonic() - began,
        "tasks": {t: {"written": done.written[t], "kept": done.kept[t], "seconds": done.seconds[t]} for t in tasks},
        "failed": [described(failure) for failure in done.failed],
    }


def status_of(out: Path) -> dict[str, Any]:
    """How far a result is. EdgekitError as of ``status``."""
    found = status(out)
    films = [
        {"set": folder, "film": film, "tasks": {t: {**asdict(c), "missing": c.missing} for t, c in cells.items()}}
        for (folder, film), cells in found.cells.items()
    ]
    return {
        "out": str(out),
        "complete": found.complete,
        "films": films,
        "unread_films": [f"{folder}/{film}" for folder, film in found.unread],
        "failed": [described(failure) for failure in found.failures],
        "maps_per_second": found.rates,
        "extra_files": found.extra,
    }


def verify_maps(out: Path, *, remove: bool = False) -> dict[str, Any]:
    """Read every file of a result. EdgekitError as of ``verify``."""
    with Progress("verifying") as bar:
        found = verify(out, remove=remove, progress=bar.count)
    bad = [{"file": path, "what": what} for path, what in found.bad.items()]
    return {"out": str(out), "files": found.files, "bad": bad, "removed": found.removed}


def described(failure: Failure) -> dict[str, Any]:
    where = f"{failure.folder}/{failure.task}/{failure.frame or failure.film}"
    return {"where": where, "what": failure.what, **asdict(failure)}
