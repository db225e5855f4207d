"""Kinds of external teachers: one file and one line here for a new one.

Another package offers one as an entry point of the group ``edgekit.external_teachers``.
"""

from __future__ import annotations

from edgekit.parts import Parts
from edgekit.teachers.external.model import ExternalModel

# By address: these files import their sections of a recipe, which need this table.
EXTERNAL_MODELS: Parts[type[ExternalModel]] = Parts(
    "edgekit.external_teachers",
    "kind of external teacher",
    {
        "expert": "edgekit.teachers.external.expert:Expert",
        "npz": "edgekit.teachers.external.predictions:Predictions",
        "onnx": "edgekit.teachers.external.onnx_file:OnnxFile",
        "phg_mae": "edgekit.teachers.external.phg_mae:PhgMae",
        "bundle": "edgekit.teachers.external.bundle:ExportedStudent",
        "transformers": "edgekit.teachers.external.transformers_folder:Transformers",
        "torch": "edgekit.teachers.external.code:Code",
    },
    base=ExternalModel,
    classes=True,
)
