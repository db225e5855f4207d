"""What a task is: its kind, encoding, decoding, metrics and pictures. Numpy only: it runs on the device too."""

from __future__ import annotations

from edgekit.errors import EdgekitError
from edgekit.tasks.binary import Binary
from edgekit.tasks.depth import Depth
from edgekit.tasks.kind import Kind, Meter
from edgekit.tasks.modality import Modality
from edgekit.tasks.normals import Normals
from edgekit.tasks.semantic import Semantic
from edgekit.tasks.task import Task

KINDS: dict[str, Kind] = {kind.name: kind for kind in (Semantic(), Depth(), Normals(), Binary(), Modality())}

__all__ = ["KINDS", "Kind", "Meter", "Task", "kind_of"]


def kind_of(task: Task) -> Kind:
    """The kind of a task. EdgekitError when no kind has that name."""
    try:
        return KINDS[task.kind]
    except KeyError:
        raise EdgekitError(
            f"task '{task.name}' has the unknown kind '{task.kind}'", fix=f"use one of {', '.join(KINDS)}"
        ) from None
