"""Parameters, multiply-adds and latency of each registered student."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.benchmark import Timer

from edgekit.networks import parameter_count
from edgekit.networks.macs import multiply_adds
from edgekit.students.registry import STUDENTS
from edgekit.students.student import example_student

_SECONDS = 1.0  # that a student is timed


def list_students(size: tuple[int, int], classes: int, threads: int) -> list[dict[str, Any]]:
    """One row per student, for a head of ``classes`` classes and frames of ``size``; fused, as on a device."""
    return [_row(name, classes, size, threads) for name in STUDENTS]


def _row(name: str, classes: int, size: tuple[int, int], threads: int) -> dict[str, Any]:
    student = example_student(name, classes)
    trained = parameter_count(student)
    if hasattr(student.network, "fuse"):
        student.network.fuse()
    student = student.to(memory_format=torch.channels_last)
    frame = torch.zeros(1, 3, *size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        timer = Timer("student(frame)", globals={"student": student, "frame": frame}, num_threads=threads)
        timer.timeit(2)  # to warm up
        latency = timer.blocked_autorange(min_run_time=_SECONDS).median
    return {
        "name": name,
        "family": STUDENTS[name].family,
        "parameters": trained,
        "parameters_fused": parameter_count(student),
        "multiply_adds": multiply_adds(student, frame),
        "latency_ms": 1000 * latency,
        "about": STUDENTS[name].about,
    }
