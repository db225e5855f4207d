"""What is exported: a run's student with the recipe's frames, or a student's file with a folder of photographs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.manifest import Preprocessing, Tensor
from edgekit.data.image_folder.listing import read_names
from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_rgb
from edgekit.pipeline.run import Run
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import ExportSection, Recipe
from edgekit.runtime.given import FrameReader, frame_size
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.preprocess import Feed, Preprocessor
from edgekit.students.student import Student, load_student


@dataclass(frozen=True)
class LazyFrame:
    """A frame to calibrate or compare with: its name, its scene, and how to read it, by modality."""

    name: str
    scene: str
    read: Callable[[], Mapping[str, np.ndarray]]


def prepared(
    shots: Sequence[LazyFrame], preprocessing: Preprocessing, inputs: Sequence[Tensor]
) -> Iterator[tuple[Feed, FramePlacement]]:
    """Each frame as ``inputs`` take it, by the Predictor's own pre-processing, and where it lies in those arrays."""
    prepare, accept = Preprocessor(preprocessing, inputs), FrameReader(preprocessing)
    for shot in shots:
        batch = accept.one(shot.read())
        placement = FramePlacement.of(preprocessing, frame_size(batch), preprocessing.size)
        yield {name: array.copy() for name, array in prepare(batch, placement).items()}, placement


@dataclass
class Subject:
    """A student to export, with its frames and settings.

    calibration  frames for activation ranges: the train split, or a folder of photographs
    check        frames for parity and the golden file: the evaluated split, or the same folder
    bench        the run's opened recipe; None for a student's file, which gets no metrics
    log          the file for progress
    """

    name: str
    student: Student
    config: ExportSection
    calibration: Sequence[LazyFrame]
    check: Sequence[LazyFrame]
    provenance: dict[str, Any]
    bench: Workbench | None = None
    log: Path | None = None

    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the first frame of ``check``."""
        return next(iter(self.check[0].read().values())).shape[:2]


def latest_run(root: Path = Path("runs")) -> Path:
    """The run under ``root`` that was finished last. EdgekitError if no run is finished."""
    finished = [path.parent for path in root.glob("*/student.pt") if (path.parent / "run.json").is_file()]
    if not finished:
        raise EdgekitError(
            "there is no finished run", where=str(root), fix="run `edgekit distill RECIPE` first, or name a run or .pt"
        )
    return max(finished, key=lambda folder: (folder / "student.pt").stat().st_mtime)


def subject_of(path: Path, overrides: Sequence[str] = (), frames: Path | None = None) -> Subject:
    """A run's folder, one of its students' ``.pt``, or another student's (then ``frames`` is needed).

    EdgekitError for anything else.
    """
    if path.is_dir():
        return _of_run(path / "student.pt", overrides, frames)
    if frames is None and path.is_file() and (path.parent / "run.json").is_file():
        return _of_run(path, overrides, None)
    if not path.exists():
        raise EdgekitError("there is no such run or student", where=str(path), fix="name a run's folder or a .pt")
    if overrides:
        raise EdgekitError(
            "--set changes the export section of a run's recipe, and this is a student's file",
            where=str(path),
            fix="leave --frames out: the run beside it has its own"
            if (path.parent / "run.json").is_file()
            else "leave it out",
        )
    if frames is None:
        raise EdgekitError(
            "a student's file has no frames to check and calibrate with",
            where=str(path),
            fix="name a folder of photographs with --frames DIR, or export the run",
        )
    student = load_student(path)
    shots = folder_shots(frames, student)
    provenance = {"student": path.name, "student_sha256": sha256(path), "frames": frames.name}
    return Subject(path.stem, student, ExportSection(), shots, shots, provenance)


def calibrate_with(subject: Subject, asked: str | None) -> int | None:
    """``--calibration-frames``: the number of frames. Where it is a folder, its photographs become ``calibration``;
    where it is a list, those of ``calibration`` that it names stay. EdgekitError for anything else.
    """
    if asked is None:
        return None
    option = "--calibration-frames"
    if re.fullmatch(r"[+-]?\d+", asked):
        if int(asked) < 1:
            fix = "give 1 or more (300 are usual), or a folder of photographs"
            raise EdgekitError(f"{asked} frames are too few to calibrate with", where=option, fix=fix)
        return int(asked)
    if Path(asked).is_dir():
        subject.calibration = folder_shots(Path(asked), subject.student)
    elif Path(asked).is_file():
        shots = {shot.name: shot for shot in subject.calibration}
        subject.calibration = [shots[name] for name in read_names(Path(asked), shots)]
        if not subject.calibration:
            raise EdgekitError("the list names no frame", where=asked, fix="write frames' names into it, one in a line")
    else:
        fix = "give a number of frames of the train split, a list of them, or a folder of photographs"
        raise EdgekitError(f"'{asked}' is neither a number nor a folder nor a list", where=option, fix=fix)
    subject.provenance["calibration_frames"] = Path(asked).name
    return len(subject.calibration)


def folder_shots(folder: Path, student: Student) -> list[LazyFrame]:
    """The photographs of a folder, sorted by name.

    EdgekitError if the folder has no photographs, or if the student needs other modalities than rgb.
    """
    blind = [task.name for task in student.modalities if task.name != "rgb" and task.name not in student.may_lack]
    if blind or "rgb" not in student.channels():
        raise EdgekitError(
            f"a folder of photographs has rgb alone, and the student sees {', '.join(student.channels())}",
            where=str(folder),
            fix="export the run that trained it, with the frames of its recipe",
        )
    if not folder.is_dir():
        raise EdgekitError("there is no such folder of frames", where=str(folder), fix="name a folder of photographs")
    files = sorted(p for p in folder.iterdir() if is_photograph(p))
    if not files:
        raise EdgekitError(
            "the folder has no photographs", where=str(folder), fix=f"put files of {', '.join(PHOTO_SUFFIXES)} into it"
        )
    return [LazyFrame(path.name, folder.name, lambda path=path: {"rgb": read_rgb(path)}) for path in files]


def _of_run(path: Path, overrides: Sequence[str], frames: Path | None) -> Subject:
    """``path``: the student's file in the run's folder."""
    folder = path.parent
    run = Run.open(folder)
    if overrides:
        _check_overrides(overrides)
        run.recipe = load_recipe(Recipe, folder / "recipe.yaml", overrides)
    if not path.is_file():
        raise EdgekitError("the run has no student yet", where=str(folder), fix=f"edgekit distill {folder}")
    student = load_student(path)
    recipe, bench = run.recipe, run.bench()
    split = recipe.evaluate.split
    provenance = {
        "recipe": recipe.name,
        "recipe_hash": folder.resolve().name.removeprefix(f"{recipe.name}-"),
        "run": folder.name,
        "student": path.name,
        "student_sha256": sha256(path),
        "data": recipe.data.source,
        "data_key": bench.data_key,
        "split": split,
    } | {name: said for name in ("licence", "attribution") if (said := getattr(recipe.data, name))}
    if frames is not None:
        shots = folder_shots(frames, student)
        calibration = check = shots
        provenance["frames"] = frames.name
    else:
        calibration, check = (shots_of(bench, name) for name in ("train", split))
    name = recipe.name if path.name == "student.pt" else f"{recipe.name}-labels-only"
    return Subject(name, student, recipe.export, calibration, check, provenance, bench, log=folder / "log.jsonl")


def _check_overrides(overrides: Sequence[str]) -> None:
    """EdgekitError for an override of what is trained already."""
    for override in overrides:
        if not override.lstrip().startswith("export."):
            raise EdgekitError(
                f"--set {override} would change what is trained",
                where="--set",
                fix="set keys below export. here; for the others run `edgekit distill` with --set",
            )


def shots_of(bench: Workbench, split: str) -> list[LazyFrame]:
    """The frames of a split."""
    names = bench.recipe.student.modalities

    def reader(info):
        return lambda: bench.frames.read(info, names)

    return [LazyFrame(info.name, info.scene, reader(info)) for info in bench.frames.frames(split)]
