"""``edgekit.json`` beside the sets: what the names of the folders do not tell. The public reader ignores it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import write_text
from edgekit.frames.names import component
from edgekit.frames.outside import read_json
from edgekit.tasks import Task, kind_of

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
        write_text(root / NAME, json.dumps(self.document(), indent=1))

    def document(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


_DESCRIPTION = TypeAdapter(Description)


def read_description(root: Path) -> Description | None:
    """The description of a root, None if the file is missing. EdgekitError if edgekit did not write it."""
    path = root / NAME
    try:
        written = read_json(path, what="the description of the data")
        if written.pop("format") != FORMAT:
            raise ValueError(f"this edgekit knows the format {FORMAT}")
        description = _DESCRIPTION.validate_python(written)
        for name, task in description.tasks.items():
            if task.name != component(name, what="the task", where=NAME):
                raise ValueError(f"the task of '{name}' is called {task.name[:60]!r}")
            kind_of(task).check(task)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EdgekitError) as error:
        raise EdgekitError(
            f"the description of the data cannot be read: {first_line(error)}",
            where=str(path),
            fix="remove it and describe the folders under data.tasks, or convert again",
        ) from error
    return description
