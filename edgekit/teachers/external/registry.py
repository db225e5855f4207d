"""Kinds of teachers from elsewhere: one file and one line here for a new one."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.teachers.external.code import Code
from edgekit.teachers.external.expert import Expert
from edgekit.teachers.external.form import Form
from edgekit.teachers.external.onnx_file import OnnxFile
from edgekit.teachers.external.phg_mae import PhgMae
from edgekit.teachers.external.predictions import Predictions

EXTERNAL_FORMS: dict[str, Callable[..., Form]] = {
    "expert": Expert,
    "npz": Predictions,
    "onnx": OnnxFile,
    "phg_mae": PhgMae,
    "torch": Code,
}
