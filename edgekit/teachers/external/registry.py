"""Kinds of teachers from elsewhere: one file and one line here for a new one.

Another package offers one as an entry point of the group ``edgekit.external_teachers``.
"""

from __future__ import annotations

from edgekit.parts import Parts
from edgekit.teachers.external.form import Form

# By address, for each of these files imports what a recipe may say of it, which needs this table.
EXTERNAL_FORMS: Parts[type[Form]] = Parts(
    "edgekit.external_teachers",
    "kind of external teacher",
    {
        "expert": "edgekit.teachers.external.expert:Expert",
        "npz": "edgekit.teachers.external.predictions:Predictions",
        "onnx": "edgekit.teachers.external.onnx_file:OnnxFile",
        "phg_mae": "edgekit.teachers.external.phg_mae:PhgMae",
        "torch": "edgekit.teachers.external.code:Code",
    },
    base=Form,
    classes=True,
)
