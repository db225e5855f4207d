"""Distillation losses by the name they have in a recipe: one file and one line here for a new one.

Another package offers one as an entry point of the group ``edgekit.losses``.
"""

from __future__ import annotations

from edgekit.losses.cwd import CWDLoss
from edgekit.losses.dist import DISTLoss
from edgekit.losses.hard import HardLoss
from edgekit.losses.loss import DETAILS, Detail, DistillationLoss, LossConfig
from edgekit.losses.regression import NormalsLoss, RegressionLoss
from edgekit.losses.soft import SoftLoss
from edgekit.parts import Parts

OWN: dict[str, type[DistillationLoss]] = {
    "soft": SoftLoss,
    "hard": HardLoss,
    "cwd": CWDLoss,
    "dist": DISTLoss,
    "regression": RegressionLoss,
    "normals": NormalsLoss,
}

LOSSES: Parts[type[DistillationLoss]] = Parts(
    "edgekit.losses", "distillation loss", OWN, base=DistillationLoss, classes=True
)

__all__ = ["DETAILS", "LOSSES", "OWN", "Detail", "DistillationLoss", "LossConfig"]
