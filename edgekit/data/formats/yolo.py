"""The source behind ``yolo``: a text file of polygons per image, as Ultralytics' segmentation data has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from edgekit.data.formats.drawn import Drawn, read_labels, wrong_labels
from edgekit.data.formats.shapes import DrawnShape, polygon
from edgekit.data.image_folder.config import FormatConfig, SplitFiles
from edgekit.data.image_folder.listing import SPLIT_FOLDERS, Files, FilesByName
from edgekit.errors import EdgekitError
from edgekit.frames.images import stored_size
from edgekit.frames.plain_yaml import read_yaml
from edgekit.tasks import Task

_SLACK = 0.01  # coordinates are shares of the picture's sides, and tools round them


class YoloConfig(FormatConfig):
    """Images with YOLO's segmentation labels, https://docs.ultralytics.com/datasets/segment.

    A line is ``class x1 y1 x2 y2 …``, in shares of the width and height. Small objects lie above large ones, what no
    object covers is the class ``background``. An image without objects has an empty file; without a file it has no
    label.

    data    the YAML with ``names`` and the folder (or list of images) of ``train``, ``val`` and ``test``
    splits  instead of those of the YAML: split -> its ``images`` and ``labels``
    """

    data: Path = Path("data.yaml")


class _Yaml(BaseModel):
    names: list[str] | dict[int, str]
    train: str | None = None
    val: str | None = None
    test: str | None = None


class Yolo(Drawn):
    """Frames of a `YoloConfig`: ``rgb`` and ``semantic``, as `ImageFolder`'s."""

    label_endings = (".txt",)
    layout = ()  # its YAML says it
    small_above = True

    def _describe(self, config: YoloConfig) -> Task:
        path = self._find(config.data)
        self._described_by = [path]
        try:
            fix = "write it as Ultralytics has it: names, and where train and val lie"
            self._yaml = _Yaml.model_validate(read_yaml(path, what="the description of the data", fix=fix))
        except FileNotFoundError:
            raise EdgekitError("the file of labels does not exist", where=str(path), fix="correct its name") from None
        except ValidationError as error:
            raise wrong_labels(error, path) from error
        names = self._yaml.names
        self._names = names if isinstance(names, dict) else dict(enumerate(names))
        return self._named(config, self._names.values(), str(path))

    def _list(self, config: FormatConfig) -> dict[str, FilesByName]:
        if config.splits is None:
            told = {
                split: self._place(split, place) for split in SPLIT_FOLDERS if (place := getattr(self._yaml, split))
            }
            if not told:
                where, fix = str(self._described_by[0]), "write `train: FOLDER` and `val: FOLDER` into it"
                raise EdgekitError("the description of the data names no split", where=where, fix=fix)
            config = config.model_copy(update={"splits": told})
        return super()._list(config)

    def _place(self, split: str, place: str) -> SplitFiles:
        """Where the files of a split lie: the labels beside the images, in a folder ``labels`` for one ``images``."""
        found = "/".join(part for part in place.split("/") if part not in ("", ".", ".."))
        if not os.path.exists(self._root / found):
            where, fix = f"{self._described_by[0]}: {split}", "say where the files lie with data.splits"
            raise EdgekitError(f"'{place}' is not below data.root", where=where, fix=fix)
        if found.endswith(".txt"):
            return SplitFiles(images="images", labels="labels", list=Path(found))
        head, images, tail = f"/{found}/".rpartition("/images/")
        labels = f"{head}/labels/{tail}".strip("/") if images else found
        return SplitFiles(images=found, labels=labels if (self._root / labels).is_dir() else None)

    def _label(self, name: str, files: Files) -> np.ndarray:
        (height, width), orientation = stored_size(files.image)
        size = (width, height) if orientation >= 5 else (height, width)
        shapes = []
        for number, line in enumerate(read_labels(files.label).decode("utf-8", "replace").splitlines(), 1):
            if line.strip():
                shapes.append(self._object(line.split(), size, f"{files.label}, line {number}"))
        return self._draw(size, shapes)

    def _object(self, words: list[str], size: tuple[int, int], where: str) -> tuple[str, list[DrawnShape]]:
        try:
            if not words[0].isdecimal():
                raise ValueError("the line does not begin with the number of a class")
            index, xy = int(words[0]), np.array(words[1:], np.float64)
            if len(xy) == 4:
                raise ValueError("the line is a box, and no outline: export the data for segmentation")
            if index not in self._names:
                raise ValueError(f"there is no class {index}")
            if not ((xy >= -_SLACK) & (xy <= 1 + _SLACK)).all():
                raise ValueError("the coordinates are no shares of the picture's sides, from 0 to 1")
            return self._names[index], [polygon(xy * np.resize(size[::-1], len(xy)), *size)]
        except ValueError as error:
            raise EdgekitError(str(error), where=where, fix="correct the label, or export it again") from error
