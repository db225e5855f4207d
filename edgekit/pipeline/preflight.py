"""`edgekit lint` and `edgekit estimate`: of an ONNX file, a bundle's files, or a student before training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.boards.table import JetPack, within
from edgekit.bundle.bundle import open_bundle, shipped_or_here
from edgekit.bundle.manifest import MANIFEST, PRECISIONS, Artifact, Precision
from edgekit.errors import EdgekitError
from edgekit.export.body import body
from edgekit.export.files import deployed, plan_of
from edgekit.export.lanes import ARTIFACT_ROWS, row_of
from edgekit.frames.files import expand_home
from edgekit.preflight.lint import LintReport, Target, lint, target_of
from edgekit.preflight.network import Network, network_of, read_onnx
from edgekit.preflight.roofline import Estimate, assumptions, default_precision, estimate
from edgekit.recipe.schema import ExportSection
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student, example_student, load_student

Size = tuple[int, int]
USUAL_SIZE: Size = (544, 960)
USUAL_CLASSES = 8


def lint_reports(
    subject: str,
    *,
    board: str,
    jetpack: str | None = None,
    dla: bool = False,
    size: Size | None = None,
    classes: int | None = None,
) -> list[LintReport]:
    """One report per graph of the subject: a student's name or .pt, an ONNX file, a bundle.

    ``jetpack``: default the newest of the board. ``size`` and ``classes``: of a student, whose graph is made for them.
    EdgekitError if the subject, the board or the JetPack is unknown, or if they do not go together.
    """
    target = _target(board, jetpack, dla=dla)
    networks = _networks(subject, target.jetpack, size, classes, dla=dla)
    return [lint(network, target, name) for name, network in networks]


def estimates(
    subject: str,
    *,
    board: str,
    jetpack: str | None = None,
    precision: Precision | None = None,
    size: Size | None = None,
    classes: int | None = None,
) -> tuple[list[tuple[str, list[Estimate]]], list[str]]:
    """Per graph its estimates, the precision asked for first; and what all of them assume. See ``lint_reports``."""
    target, found = _target(board, jetpack, dla=False), []
    for name, network in _networks(subject, target.jetpack, size, classes, dla=False):
        first = precision or default_precision(network)
        order = [first, *(p for p in PRECISIONS if p != first and (p != "int8" or not _is_half(network)))]
        found.append((name, [estimate(network, target.board, p, name) for p in order]))
    return found, assumptions(target.board)


def _target(board: str, jetpack: str | None, *, dla: bool) -> Target:
    return target_of(find_board(board), find_jetpack(jetpack) if jetpack else None, dla=dla)


def _is_half(network: Network) -> bool:
    """A graph whose types are float16 and which has no Q/DQ: it is that precision and no other."""
    return "float16" in {network.types.get(name) for name in network.folded} and not network.has_qdq


def _networks(
    subject: str, jetpack: JetPack, size: Size | None, classes: int | None, *, dla: bool
) -> Iterator[tuple[str, Network]]:
    found = student_or_file(subject, classes)
    if isinstance(found, Student):
        size = size or USUAL_SIZE
        model = _graph_of(found, size, jetpack, dla=dla)
        yield f"{found.name}, width {found.width}, {size[0]}x{size[1]}", network_of(model, subject)
    elif is_bundle(found):
        yield from _of_a_bundle(found, jetpack, size, dla=dla)
    else:
        yield found.name, network_of(read_onnx(found), str(found), size)


def student_or_file(subject: str, classes: int | None = None) -> Student | Path:
    """The student of this name or in this .pt; else the path of a bundle (see ``is_bundle``) or of an ONNX file.

    ``classes``: of a student that is named. EdgekitError where there is no such file.
    """
    path = shipped_or_here(expand_home(subject))
    if subject in STUDENTS:
        return example_student(subject, classes or USUAL_CLASSES)
    if path.suffix == ".pt":
        return load_student(path)
    if classes is not None:
        raise EdgekitError("--classes is for a student's name", where=subject, fix="leave --classes out")
    if not path.exists() and path.suffix != ".tar":
        fix = f"give an ONNX file, a bundle, a student.pt, or one of {', '.join(STUDENTS)}"
        raise EdgekitError(f"'{subject}' is neither a student nor a file", where=subject, fix=fix)
    return path.parent if path.name == MANIFEST else path


def is_bundle(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".tar"


def _graph_of(student: Student, size: Size, jetpack: JetPack, *, dla: bool) -> onnx.ModelProto:
    """As it would be exported: uint8 frames to maps for the GPU, bare logits for DLA."""
    row = row_of(ARTIFACT_ROWS, "cache/fp32" if dla else "weak/fp32")
    graph = body(student, size, opset=min(row.opset, jetpack.opset))
    return deployed(row, graph, plan_of(student, ExportSection(), size, size)).model


def _of_a_bundle(path: Path, jetpack: JetPack, size: Size | None, *, dla: bool) -> Iterator[tuple[str, Network]]:
    bundle = open_bundle(path)
    wanted = ("cache",) if dla else ("weak", "strong", "cache")
    of_lanes = [a for a in bundle.manifest.artifacts if a.lane in wanted]
    fitting = [a for a in of_lanes if a.tensorrt and within(jetpack.tensorrt, *a.tensorrt)]
    if not fitting:
        lanes = sorted({a.lane for a in bundle.manifest.artifacts})
        raise EdgekitError(
            f"the bundle has no file for TensorRT {jetpack.tensorrt}{' on DLA' if dla else ''}: "
            f"its lanes are {', '.join(lanes)}",
            where=str(path),
            fix=f"export it again with --target jetson --jetpack {jetpack.version}",
        )
    for file in dict.fromkeys(artifact.file for artifact in fitting):
        of = [a for a in fitting if a.file == file]
        ways = ", ".join(dict.fromkeys(f"{a.lane}/{a.precision}" for a in of))
        where = str(bundle.path(file))
        # Where the size is left open, the one that the profile says is usual.
        usual = next((a for a in of if a.profile), None)
        chosen = size or (_size_of(usual) if usual else None)
        yield f"{file} ({ways})", network_of(read_onnx(bundle.path(file)), where, chosen)


def _size_of(artifact: Artifact) -> Size:
    """(H, W) that is usual in its profile."""
    shape = artifact.profile.opt
    return (shape[2], shape[3]) if artifact.standardised else (shape[1], shape[2])
