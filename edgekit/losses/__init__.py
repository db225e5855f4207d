"""Distillation losses by the name they have in a recipe: one file and one line here for a new one."""

from __future__ import annotations

from edgekit.losses.cwd import CWDLoss
from edgekit.losses.dist import DISTLoss
from edgekit.losses.hard import HardLoss
from edgekit.losses.loss import RICHNESS, Content, DistillationLoss, LossConfig
from edgekit.losses.regression import NormalsLoss, RegressionLoss
from edgekit.losses.soft import SoftLoss

LOSSES: dict[str, type[DistillationLoss]] = {
    "soft": SoftLoss,
    "hard": HardLoss,
    "cwd": CWDLoss,
    "dist": DISTLoss,
    "regression": RegressionLoss,
    "normals": NormalsLoss,
}

__all__ = ["LOSSES", "RICHNESS", "Content", "DistillationLoss", "LossConfig"]
