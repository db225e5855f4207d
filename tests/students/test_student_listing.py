"""What `edgekit students` says of each student."""

from __future__ import annotations

import pytest
import torch

from edgekit.networks import parameter_count
from edgekit.networks.macs import multiply_adds
from edgekit.students import listing
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_SECONDS", 0.01)
        return listing.list_students((32, 48), 8, 1)


def test_one_row_per_student_in_the_registrys_order(rows):
    assert [row["name"] for row in rows] == list(STUDENTS)
    assert all(row["latency_ms"] > 0 and row["about"] for row in rows)


def test_parameters_are_counted_as_trained_and_as_flown(rows):
    task = Task("semantic", "semantic", classes=tuple("abcdefgh"))
    for row in rows:
        student = Student(row["name"], [task])
        assert row["parameters"] == parameter_count(student)
        assert row["multiply_adds"] == multiply_adds(student, torch.zeros(1, 3, 32, 48))  # fusing changes no output
        fusible = hasattr(student.network, "fuse")
        assert (
            (row["parameters_fused"] < row["parameters"]) if fusible else row["parameters_fused"] == row["parameters"]
        )


def test_the_thread_count_is_put_back():
    before, seen = torch.get_num_threads(), set()
    forward = Student.forward

    def counting(self, rgb):
        seen.add(torch.get_num_threads())
        return forward(self, rgb)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_SECONDS", 0.01)
        patch.setattr(Student, "forward", counting)
        patch.setattr(listing, "multiply_adds", lambda student, frame: 0)
        listing.list_students((32, 32), 2, before + 1)
    assert seen == {before + 1} and torch.get_num_threads() == before
