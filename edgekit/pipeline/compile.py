"""`edgekit compile`: a bundle's files, an ONNX file or a student's graphs through NVIDIA's compiler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import Artifact
from edgekit.compile.compiler import USUAL_CAPABILITIES, Compiled, Profiles, check_installed, compile_model, is_there
from edgekit.compile.kernels import count
from edgekit.errors import EdgekitError
from edgekit.export.files import artifacts_of, plan_of
from edgekit.export.lanes import ARTIFACT_ROWS
from edgekit.graphs.read import spatial_places, tensor_shape
from edgekit.pipeline.draft import draft_files
from edgekit.pipeline.preflight import USUAL_SIZE, Size, is_bundle, student_or_file
from edgekit.preflight.network import read_onnx
from edgekit.recipe.schema import ExportSection
from edgekit.students.student import Student
from edgekit.training.progress import Progress

NOT_COMPILED = "not compiled: TensorRT for RTX is not installed (pip install 'edgekit[rtx]')"


@dataclass(frozen=True)
class File:
    """One ONNX file to compile. ``profiles``: bounds of its inputs with open dimensions."""

    name: str
    model: bytes
    profiles: Profiles


def compile_subject(
    subject: str,
    *,
    lane: str | None = None,
    size: Size | None = None,
    capabilities: Sequence[str] = USUAL_CAPABILITIES,
) -> Iterator[Compiled]:
    """What the compiler makes of each file of the subject: a bundle, an ONNX file, a student's name or its .pt.

    lane  of a bundle or a student: weak, strong or cache; default: all of them
    size  (H, W) of a student's graphs, or of an ONNX file that leaves its size open

    EdgekitError if the compiler is not installed, or if the subject is something else.
    """
    check_installed()
    for file in _files(subject, lane, size):
        yield compile_model(file.model, file.name, profiles=file.profiles, capabilities=capabilities)


def compile_export(
    artifacts: Sequence[Artifact],
    contents: Mapping[str, bytes],
    progress: Progress,
    capabilities: Sequence[str] = USUAL_CAPABILITIES,
) -> dict[str, Compiled | None]:
    """File → what became of it, for each of a bundle's TensorRT files; None where the compiler is not installed.

    A refusal is reported but does not stop the export, since a Jetson uses a different compiler.
    """
    files = list(_of(artifacts, contents))
    if not is_there():
        return dict.fromkeys(file.name for file in files)
    found: dict[str, Compiled | None] = {}
    progress.begin(len(files))
    for done, file in enumerate(files, 1):
        found[file.name] = compile_model(file.model, file.name, profiles=file.profiles, capabilities=capabilities)
        progress.step(done)
    return found


def compiler_rows(found: Mapping[str, Compiled | None]) -> list[dict[str, Any]]:
    """Rows of an export's parity table, one per file; ``holds`` is None where the compiler was not asked."""
    return [
        {
            "step": f"NVIDIA's compiler {compiled.version}" if compiled else "NVIDIA's compiler",
            **{"task": name, "metric": verdict(compiled), "value": None, "limit": None},
            "holds": compiled and compiled.taken,
        }
        for name, compiled in found.items()
    ]


def verdict(compiled: Compiled | None) -> str:
    """``taken, 14 of 14 convolutions in INT8, 30 kernels``, or why it was refused, or not asked."""
    if compiled is None:
        return NOT_COMPILED
    if compiled.engine is None:
        return "refused: " + "; ".join(map(str, compiled.refusals))
    found = count(compiled.engine.kernels)
    reading = found["convolutions_reading"]
    parts = [f"{number} of {found['convolutions']} convolutions in {kind}" for kind, number in reading.items()]
    unread = len(compiled.engine.not_understood)
    if unread:
        parts.append(f"{unread} line(s) of its table not understood")
    return ", ".join(["taken", *parts, f"{found['kernels']} kernels"])


def student_files(
    student: Student,
    size: Size,
    *,
    open_dimensions: frozenset[str] = frozenset(),
    outputs: Mapping[str, Sequence[str]] | None = None,
) -> list[File]:
    """The TensorRT files that an export would make of a student unless its recipe says otherwise."""
    config = ExportSection(fit="stretch", outputs={task: list(forms) for task, forms in (outputs or {}).items()})
    plan = plan_of(student, config, size, size, open_dimensions=open_dimensions)
    rows = list({row.file: row for row in ARTIFACT_ROWS if row.tensorrt}.values())
    files = draft_files(rows, student, plan, config.quantize)
    contents = {name: file.model.SerializeToString() for name, file in files.items()}
    return list(_of(artifacts_of(rows, files, plan), contents))


def _of(artifacts: Sequence[Artifact], contents: Mapping[str, bytes], lane: str | None = None) -> Iterator[File]:
    """The files that TensorRT may be given, each once."""
    wanted = [a for a in artifacts if a.tensorrt and lane in (None, a.lane)]
    for artifact in {a.file: a for a in wanted}.values():
        bounds = {name: (each.min, each.opt, each.max) for name, each in artifact.profiles().items()}
        yield File(artifact.file, contents[artifact.file], bounds)


def _files(subject: str, lane: str | None, size: Size | None) -> Iterator[File]:
    source = student_or_file(subject)
    if isinstance(source, Student):
        files = student_files(source, size or USUAL_SIZE)
        wanted = {row.file for row in ARTIFACT_ROWS if row.tensorrt and lane in (None, row.lane)}
        yield from (file for file in files if file.name in wanted)
    elif is_bundle(source):
        bundle = open_bundle(source)
        artifacts = bundle.manifest.artifacts
        contents = {a.file: bundle.read(a.file) for a in artifacts if a.tensorrt}
        found = list(_of(artifacts, contents, lane))
        if not found:
            what = f"the bundle has no file of the lane {lane}" if lane else "the bundle has no file for TensorRT"
            raise EdgekitError(what, where=subject, fix="export it with --target jetson")
        yield from found
    else:
        yield _plain(source, size)


def _plain(path: Path, size: Size | None) -> File:
    """An ONNX file by itself: open dimensions are one frame of ``size``."""
    model = read_onnx(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    profiles = {}
    for value in model.graph.input:
        if value.name in constants or not value.type.HasField("tensor_type"):
            continue
        shape = tensor_shape(value)
        if all(isinstance(side, int) and side > 0 for side in shape):
            continue
        fixed = _fixed(shape, size)
        if fixed is None:
            raise EdgekitError(
                f"the input '{value.name}' is {list(shape)}", where=str(path), fix="give --size HxW, of one frame"
            )
        profiles[value.name] = (fixed, fixed, fixed)
    return File(path.name, model.SerializeToString(), profiles)


def _fixed(shape: tuple[int | str, ...], size: Size | None) -> tuple[int, ...] | None:
    """One frame of ``size``; None for what that does not say."""
    if len(shape) != 4:
        return None
    places = spatial_places(shape)
    sides = {0: 1, **dict(zip(places, size or (), strict=False))}
    fixed = [side if isinstance(side, int) and side > 0 else sides.get(place) for place, side in enumerate(shape)]
    return None if None in fixed else tuple(fixed)
