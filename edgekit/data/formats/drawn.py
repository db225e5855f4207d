"""What sources of drawn labels share: classes by name, a background, one file with the shapes of many images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from edgekit import limits
from edgekit.data.folders import FileName, natural, nfc
from edgekit.data.formats.shapes import DrawnShape, paint
from edgekit.data.image_folder.config import FormatConfig, SplitFiles
from edgekit.data.image_folder.listing import Files, FilesByName, find_files, frame_of, pair_files
from edgekit.data.image_folder.source import ImageFolder
from edgekit.errors import EdgekitError
from edgekit.frames.outside import read_bytes
from edgekit.tasks import Task
from edgekit.tasks.task import IGNORE

M = TypeVar("M", bound=BaseModel)
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


def read_labels(path: Path) -> bytes:
    """A file of labels, whole. EdgekitError where it is missing or cannot be read."""
    try:
        return read_bytes(path, what="the file of labels", most=limits.LABELS_BYTES)
    except FileNotFoundError:
        raise EdgekitError("the file of labels does not exist", where=str(path), fix="correct its name") from None


def parse(model: type[M], path: Path) -> M:
    """A JSON file as the model describes it. EdgekitError naming the first place that does not fit."""
    try:
        return model.model_validate_json(read_labels(path))
    except ValidationError as error:
        raise wrong_labels(error, path) from error


def wrong_labels(error: ValidationError, path: Path) -> EdgekitError:
    """What to raise for a file that is not as its format has it."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    what = f"the labels are not as their format has them: {place + ': ' if place else ''}{first['msg']}"
    return EdgekitError(what, where=str(path), fix="export them again")


class Drawn(ImageFolder):
    """An image folder whose labels are shapes; what no shape covers is the class ``background``."""

    background = "background"
    small_above = False
    """Whether small shapes are drawn above large ones; else later ones are drawn above earlier ones."""

    def _named(self, config: FormatConfig, names: Iterable[str], source: str) -> Task:
        """The task of classes of these names; more than once is once."""
        return self._classes(config, dict.fromkeys([self.background, *names]), source)

    def _draw(self, size: tuple[int, int], shapes: Iterable[tuple[str, Iterable[DrawnShape] | None]]) -> np.ndarray:
        """(H, W) uint8 class index of shapes by the name of their class. None: a shape without an area.

        ValueError for an unknown class, and for a shape without an area unless its class is ignored.
        """
        found, room = [], limits.DRAWN_PIXELS
        if size[0] * size[1] > limits.MOST_PIXELS:
            raise ValueError(
                f"the labels are of {size[1]}x{size[0]} pixels, and at most {limits.MOST_PIXELS:,} are read"
            )
        for name, parts in shapes:
            value = self._table.index.get(nfc(name))
            if value is None:
                raise ValueError(f"a shape is of the class '{name}', which is not among the data's classes")
            if parts is None and value != IGNORE:
                raise ValueError(f"a shape of the class '{name}' has no area")
            for part in parts or ():
                room -= part.mask.size
                if room < 0:
                    raise ValueError(f"the shapes of one image cover more than {limits.DRAWN_PIXELS:,} pixels")
                found.append((value, part))
        if self.small_above:
            found.sort(key=lambda told: -int(told[1].mask.sum()))
        return paint(*size, found, self._table.index[self.background])


@dataclass
class Drawing:
    """An image in a file of labels: its size, the file of its label if it has one, and shapes by their class's name."""

    height: int
    width: int
    file: Path | None
    shapes: list[tuple[str, Any]] = field(default_factory=list)


class ManyInOneConfig(FormatConfig):
    """Images, and one file for each split with the labels of them all.

    splits  split -> its images (a folder or a pattern) and ``labels``, the file: the frames are the images that it
            names, by their path below the folder; folders before that are passed over
    """

    splits: dict[FileName, SplitFiles] = Field(min_length=1)


class ManyInOne(Drawn):
    """A source whose labels lie in one file for many images."""

    @abstractmethod
    def _parse(self, path: Path) -> tuple[list[str], list[tuple[str, Drawing]]]:
        """The names of classes, and images by their file names. EdgekitError for what is no such file."""

    @abstractmethod
    def _shapes(self, told: Any, height: int, width: int) -> Iterable[DrawnShape] | None:
        """The parts of one shape of a drawing; None where it has no area. ValueError for an invalid shape."""

    def _describe(self, config: ManyInOneConfig) -> Task:
        files = dict.fromkeys(told.labels for told in config.splits.values() if told.labels)
        if not files:
            raise EdgekitError("no split has labels", where="data.splits", fix="name the file of labels of each split")
        self._described_by = [self._root / name for name in files]
        parsed = {name: self._parse(self._root / name) for name in files}
        self._documents = {name: drawings for name, (_, drawings) in parsed.items()}
        self._drawings: dict[Path, Drawing] = {}
        return self._named(config, (name for names, _ in parsed.values() for name in names), " and ".join(files))

    def _pair(self, images: str, labels: str | None) -> FilesByName:
        found = find_files(self._root, images, self.notes, beside=(".json", ".xml"))
        if labels is None:
            return pair_files(found, {}, images, self.notes)
        frames: dict[str, Files] = {}
        absent = []
        for entry, drawing in self._documents[labels]:
            name = frame_of(entry, found)
            if name is None:
                absent.append(entry)
                continue
            if name in frames:
                what = f"two labels are for the image {found[name].name}, the second is that of '{entry}'"
                raise EdgekitError(what, where=str(self._root / labels), fix="keep one of them")
            frames[name] = Files(found[name], drawing.file)
            self._drawings[found[name]] = drawing
        named = len(self._documents[labels])
        for left, of, what in (
            (absent, named, "images that it names are not there"),
            ([*found.keys() - frames], len(found), "images are not in it"),
        ):
            if left:
                self.notes.append(f"{labels}: {len(left)} of {of} {what}, the first is {min(left, key=natural)}")
        return {name: frames[name] for name in sorted(frames, key=natural)}

    def _label(self, name: str, files: Files) -> np.ndarray:
        drawing = self._drawings[files.image]
        size = drawing.height, drawing.width
        try:
            label = self._draw(size, ((told[0], self._shapes(told[1], *size)) for told in drawing.shapes))
        except ValueError as error:
            where = f"{files.label}: {files.image.name}"
            raise EdgekitError(str(error), where=where, fix="correct the label, and export it again") from error
        return self._upright(label, name, files)
