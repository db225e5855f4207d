"""How many kernels `edgekit estimate` counts, beside what NVIDIA's own compiler makes of the same files.

    python benchmarks/kernel_counts.py [--size 272x480]

Per student and precision: convolutions that read that type, and kernels, of TensorRT for RTX (extra `edgekit[rtx]`, no
GPU needed); kernels of the estimate, and at the upper end of its band. Prints the table of docs/compiler.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import onnx

from edgekit.boards.lookup import find_board
from edgekit.bundle.manifest import Precision
from edgekit.compile.compiler import check_installed, compile_model
from edgekit.compile.kernels import count
from edgekit.frames.sizes import parse_size
from edgekit.pipeline.compile import student_files
from edgekit.preflight.network import network_of
from edgekit.preflight.roofline import estimate
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task

FILES: dict[str, Precision] = {"fp32.onnx": "fp32", "fp16-strong.onnx": "fp16", "int8-strong.onnx": "int8"}
BOARD = "orin-nano-8gb"  # the grouping is the same for all
TASK = Task("semantic", "semantic", classes=tuple("abcdefgh"))


def rows(size: tuple[int, int]) -> Iterator[tuple[str, ...]]:
    """(student, precision, convolutions of that type, NVIDIA's kernels, the estimate's, at its upper end, version)."""
    for name in STUDENTS:
        for file in student_files(Student(name, [TASK]).eval(), size):
            precision = FILES.get(file.name)
            if precision is None:
                continue
            compiled = compile_model(file.model, file.name, profiles=file.profiles)
            network = network_of(onnx.load_from_string(file.model), file.name)
            ours = estimate(network, find_board(BOARD), precision, name)
            reading, theirs = "-", "refused"
            if compiled.engine:
                found = count(compiled.engine.kernels)
                reads = found["convolutions_reading"].get(precision.upper(), 0)
                reading, theirs = f"{reads} of {found['convolutions']}", str(found["kernels"])
            most = ours.estimate_most_kernels
            yield name, precision, reading, theirs, str(len(ours.layers)), str(most), compiled.version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="112x192", type=parse_size, metavar="HxW")
    size = parser.parse_args().size
    check_installed()
    found = list(rows(size))
    print(f"TensorRT for RTX {found[0][-1]}, 8.6, {size[0]}x{size[1]}, {Path(__file__).name}\n")
    print("| student | precision | convolutions | NVIDIA | estimate | at worst |\n|---|---|--:|--:|--:|--:|")
    for row in found:
        print("| " + " | ".join(row[:-1]) + " |")


if __name__ == "__main__":
    main()
