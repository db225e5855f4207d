"""The metadata of an ONNX file, which describe it without its manifest."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from edgekit import __version__
from edgekit.bundle.manifest import Preprocessing
from edgekit.tasks import Task


def metadata(
    tasks: Sequence[Task],
    forms: Mapping[str, Sequence[str]],
    preprocessing: Preprocessing,
    provenance: Mapping[str, str],
) -> dict[str, str]:
    """ONNX metadata: values are texts, JSON where they are more. ``provenance``: recipe, recipe_hash and the like."""
    described = [{**dataclasses.asdict(task), "forms": list(forms[task.name])} for task in tasks]
    return {
        "edgekit": __version__,
        "tasks": json.dumps(described, ensure_ascii=False),
        "preprocessing": json.dumps(dataclasses.asdict(preprocessing)),
        **provenance,
    }
