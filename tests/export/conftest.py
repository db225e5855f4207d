"""Students with lived-in batch norms: their statistics are not the ones a norm is born with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from edgekit.students.student import Student
from edgekit.tasks import Task

TASKS = (
    Task("semantic", "semantic", classes=("sky", "roof", "grass"), colours=((0, 0, 255), (255, 0, 0), (0, 255, 0))),
    Task("depth", "depth", range=(1.0, 300.0), unit="m"),
    Task("normals", "normals"),
    Task("landing", "binary"),
)
MEAN, STD = (110.0, 90.0, 130.0), (50.0, 60.0, 70.0)


def lived_in(name: str = "repseg", *, width: int = 16, tasks=TASKS, seed: int = 0, **more) -> Student:
    """A student whose every norm and head has been moved away from its initial values."""
    torch.manual_seed(seed)
    student = Student(name, list(tasks), width=width, mean=MEAN, std=STD, **more)
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return student.eval()


@pytest.fixture(scope="session")
def student_of() -> Callable[..., Student]:
    return lived_in
