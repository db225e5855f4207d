"""What each registered student costs."""

from __future__ import annotations

import re
import statistics
import time
from typing import Any

import torch

from edgekit.errors import EdgekitError
from edgekit.networks import parameter_count
from edgekit.networks.macs import multiply_adds
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task

_LEAST_SIDE = 16
_WARM_UP, _LEAST_RUNS, _LEAST_SECONDS = 2, 5, 1.0


def parse_size(text: str) -> tuple[int, int]:
    """``"544x960"`` → (544, 960). EdgekitError for anything else, or sides below 16 or above 9999."""
    match = re.fullmatch(r"(\d{2,4})[x×](\d{2,4})", text, re.ASCII)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < _LEAST_SIDE:
        fix = f"write HEIGHTxWIDTH, e.g. 544x960, each at least {_LEAST_SIDE}"
        raise EdgekitError(f"'{text}' is not a size", where="--size", fix=fix)
    return size


def list_students(size: tuple[int, int], classes: int, threads: int) -> list[dict[str, Any]]:
    """One row per student, for a head of ``classes`` classes and frames of ``size``; as flown, that is fused."""
    task = Task("semantic", "semantic", classes=tuple(f"class {i}" for i in range(classes)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return [_row(name, task, size) for name in STUDENTS]
    finally:
        torch.set_num_threads(before)


def _row(name: str, task: Task, size: tuple[int, int]) -> dict[str, Any]:
    student = Student(name, [task]).eval()
    trained = parameter_count(student)
    if hasattr(student.network, "fuse"):
        student.network.fuse()
    student = student.to(memory_format=torch.channels_last)
    frame = torch.zeros(1, 3, *size).contiguous(memory_format=torch.channels_last)
    return {
        "name": name,
        "family": STUDENTS[name].family,
        "parameters": trained,
        "parameters_fused": parameter_count(student),
        "multiply_adds": multiply_adds(student, frame),
        "latency_ms": 1000 * _median_seconds(student, frame),
        "about": STUDENTS[name].about,
    }


@torch.inference_mode()
def _median_seconds(student: Student, frame: torch.Tensor) -> float:
    for _ in range(_WARM_UP):
        student(frame)
    times = []
    while len(times) < _LEAST_RUNS or sum(times) < _LEAST_SECONDS:
        began = time.perf_counter()
        student(frame)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
