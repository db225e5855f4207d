"""``edgekit.json`` beside the sets: what the names of the folders do not say. The public reader passes it by."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import write_text
from edgekit.tasks import KINDS, Task

NAME = "edgekit.json"
FORMAT = 1


@dataclass
class Description:
    """Tasks by folder, which of them are labels, scenes of frames whose names do not tell, and whether it is a film.

    ``made_from`` is a hash of what was converted.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    labels: list[str] | None = None
    scenes: dict[str, str] = field(default_factory=dict)
    film: bool | None = None
    made_from: str | None = None

    def write(self, root: Path) -> None:
        write_text(root / NAME, json.dumps({"format": FORMAT, **asdict(self)}, indent=1))


def read_description(root: Path) -> Description | None:
    """The description of a root, None where there is none. EdgekitError where it is not one that edgekit wrote."""
    path = root / NAME
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    try:
        if told.pop("format") != FORMAT:
            raise _unreadable(path, f"this edgekit knows the format {FORMAT}")
        told["tasks"] = {name: _task(about) for name, about in told["tasks"].items()}
        return Description(**told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, repr(error)) from error


def _task(about: dict[str, Any]) -> Task:
    lists = {"classes", "weights", "range"}
    told = {f.name: tuple(about[f.name]) if f.name in lists else about[f.name] for f in fields(Task)}
    task = Task(**{**told, "colours": tuple(tuple(c) for c in about["colours"])})
    if task.kind not in KINDS:
        raise ValueError(f"unknown kind '{task.kind}'")
    return task


def _unreadable(path: Path, why: str) -> EdgekitError:
    return EdgekitError(
        f"the description of the data cannot be read: {why}",
        where=str(path),
        fix="remove it and describe the folders under data.tasks, or convert again",
    )
