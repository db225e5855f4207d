"""A warm-started student says what its teacher says with rgb alone visible."""

from __future__ import annotations

import pytest
import torch

from edgekit.distill.warm_start import warm_start
from edgekit.errors import EdgekitError
from edgekit.students.config import StudentConfig
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student, new_student
from edgekit.tasks import Task
from edgekit.teachers.config import MemberConfig
from edgekit.teachers.multimodal import MultiModal

RGB = Task("rgb", "modality", channels=3, range=(0.0, 255.0))
HSV = Task("hsv", "modality", channels=3)
TASKS = [
    Task("depth", "depth", range=(1.0, 100.0), unit="m"),
    Task("semantic", "semantic", classes=("a", "b", "c")),
]
STATISTICS = {"rgb": ([90.0, 100.0, 110.0], [50.0, 55.0, 60.0]), "hsv": ([0.5] * 3, [0.2] * 3)}


def teacher_of(family: str, width: int, modalities=(HSV, RGB)) -> MultiModal:
    torch.manual_seed(1)
    network = MultiModal(MemberConfig(family=family, width=width), modalities, TASKS[::-1], STATISTICS)
    for buffer in network.buffers():  # running statistics as after training
        if buffer.is_floating_point() and buffer.ndim == 1:
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def student_of(name: str, width: int | None = None, modalities=(RGB,)) -> Student:
    return new_student(StudentConfig(name=name, width=width), TASKS, modalities, STATISTICS).eval()


# a member of the ensemble has its family's shape but for the width
SAME_SHAPE = [name for name in STUDENTS if set(STUDENTS[name].shape) == {"width"}]


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_it_says_what_the_teacher_says_of_rgb_alone(name):
    student = student_of(name, width=8)
    teacher = teacher_of(STUDENTS[name].family, 8)
    rgb = torch.rand(2, 3, 33, 46) * 255
    inputs = {"rgb": rgb, "hsv": torch.rand(2, 3, 33, 46)}
    with torch.no_grad():
        raw = teacher(teacher.standardise(inputs), torch.tensor([False, True]))
        before = student(rgb)
        warm_start(student, teacher)
        after = student(rgb)
    for task in TASKS:
        assert not torch.allclose(before[task.name], raw[task.name], atol=1e-3)
        torch.testing.assert_close(after[task.name], raw[task.name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seen", [(RGB, HSV), (HSV, RGB), (HSV,)])
def test_so_it_does_of_whatever_the_student_sees(seen):
    near = Task("near", "modality", channels=1)
    more = {"near": ([3.0], [2.0])}
    torch.manual_seed(1)
    teacher = MultiModal(MemberConfig(family="repseg", width=8), (HSV, near, RGB), TASKS, STATISTICS | more).eval()
    student = student_of("repseg", 8, seen)
    inputs = {"rgb": torch.rand(2, 3, 33, 46) * 255, "near": torch.rand(2, 1, 33, 46), "hsv": torch.rand(2, 3, 33, 46)}
    visible = torch.tensor([task in seen for task in (HSV, near, RGB)])
    warm_start(student, teacher)
    with torch.no_grad():
        raw, found = teacher(teacher.standardise(inputs), visible), student(student.together(inputs))
    for task in TASKS:
        torch.testing.assert_close(found[task.name], raw[task.name], atol=1e-4, rtol=1e-4)


def test_another_width_family_or_a_teacher_without_rgb_is_refused():
    for teacher in (teacher_of("repseg", 16), teacher_of("safeuav", 32), teacher_of("repseg", 32, modalities=(HSV,))):
        with pytest.raises(EdgekitError, match="cannot start from the first teacher") as caught:
            warm_start(student_of("repseg", width=32), teacher)
        assert caught.value.where == "distill.start"
