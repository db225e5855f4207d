"""What a task is: its kind, encoding, decoding, metrics and pictures. Numpy only: it runs on the device too."""

from __future__ import annotations

from edgekit.errors import EdgekitError
from edgekit.parts import Parts
from edgekit.tasks.binary import Binary
from edgekit.tasks.depth import Depth
from edgekit.tasks.kind import Kind, Meter
from edgekit.tasks.modality import Modality
from edgekit.tasks.normals import Normals
from edgekit.tasks.semantic import Semantic
from edgekit.tasks.task import Task

_OWN = {kind.name: kind for kind in (Semantic(), Depth(), Normals(), Binary(), Modality())}
KINDS: Parts[Kind] = Parts("edgekit.kinds", "kind of task", _OWN, base=Kind)

__all__ = ["KINDS", "Kind", "Meter", "Task", "kind_of"]


def kind_of(task: Task) -> Kind:
    """The kind of a task. EdgekitError when no kind has that name."""
    try:
        return KINDS[task.kind]
    except EdgekitError as error:
        what = f"task '{task.name}': {error.what}"
        raise EdgekitError(what, where=error.where, fix=error.fix) from error.__cause__
