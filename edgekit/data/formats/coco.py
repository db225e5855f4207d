"""The source behind ``coco``: objects (polygons or run lengths) or panoptic maps, as COCO's JSON describes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field

from edgekit import limits
from edgekit.data.folders import Side, nfc
from edgekit.data.formats.drawn import Coordinate, Drawing, ManyInOne, ManyInOneConfig, parse
from edgekit.data.formats.shapes import DrawnShape, polygon, runs
from edgekit.data.image_folder.listing import Files
from edgekit.errors import EdgekitError
from edgekit.frames.images import read_label
from edgekit.frames.names import components
from edgekit.tasks.task import IGNORE

Id = int | str
_LONGEST = 7  # characters of a number in compressed run lengths: more than any image has pixels


class CocoConfig(ManyInOneConfig):
    """Images with instances or panoptic maps in COCO's JSON, https://cocodataset.org/#format-data.

    Instances: small objects lie above large ones, what no object covers is the class ``background``, and an image
    without objects is all background. Panoptic: the maps lie in the folder beside the JSON that has its name, and what
    no segment covers is ignored.
    """


class _Image(BaseModel):
    id: Id
    file_name: str
    height: Side
    width: Side


class _Category(BaseModel):
    id: Id
    name: str


class _Runs(BaseModel):
    size: tuple[Side, Side]
    counts: str | list[Annotated[int, Field(ge=0, le=limits.MOST_PIXELS)]]


class _Segment(BaseModel):
    id: int
    category_id: Id


class _Annotation(BaseModel):
    """An object, or a map with its segments."""

    image_id: Id
    category_id: Id | None = None
    segmentation: list[list[Coordinate]] | _Runs = []
    file_name: str = ""
    segments_info: list[_Segment] | None = None


class _File(BaseModel):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation] = []


class Coco(ManyInOne):
    """Frames of a `CocoConfig`: ``rgb`` and ``semantic``, as `ImageFolder`'s."""

    small_above = True

    def _parse(self, path: Path) -> tuple[list[str], list[tuple[str, Drawing]]]:
        file = parse(_File, path)
        names = {category.id: category.name for category in file.categories}
        panoptic = any(annotation.segments_info is not None for annotation in file.annotations)
        label = None if panoptic else path
        drawings = {image.id: Drawing(image.height, image.width, label) for image in file.images}
        for number, annotation in enumerate(file.annotations):
            where = f"{path}: annotations.{number}"
            drawing = _known(drawings, annotation.image_id, "image", where)
            if annotation.segments_info is None:
                name, outlines = _known(names, annotation.category_id, "category", where), annotation.segmentation
                told = outlines if isinstance(outlines, _Runs) else [np.array(part) for part in outlines]
                drawing.shapes.append((name, told))
            else:
                segments = annotation.segments_info
                drawing.file = path.with_suffix("") / components(annotation.file_name, where=where)
                drawing.shapes += [(_known(names, s.category_id, "category", where), s.id) for s in segments]
        return list(names.values()), [(image.file_name, drawings[image.id]) for image in file.images]

    def _shapes(self, told: list[np.ndarray] | _Runs, height: int, width: int) -> Iterable[DrawnShape]:
        if isinstance(told, _Runs):
            if told.size != (height, width):
                raise ValueError(f"an object has run lengths for {told.size[1]}x{told.size[0]}, not {width}x{height}")
            counts = _counts(told.counts) if isinstance(told.counts, str) else told.counts
            return [runs(counts, height, width, by_column=True)]
        if not told:
            raise ValueError("an object has a box alone, and no outline")
        return [polygon(part, height, width) for part in told]

    def _label(self, name: str, files: Files) -> np.ndarray:
        drawing = self._drawings[files.image]
        instances = files.label in self._described_by
        return super()._label(name, files) if instances else self._segments(drawing, name, files)

    def _segments(self, drawing: Drawing, name: str, files: Files) -> np.ndarray:
        """The label in a panoptic map, whose colours are the segments' numbers: red + 256 green + 65536 blue."""
        colours = read_label(files.label, palette_colours=True).astype(np.int64)
        numbers = colours if colours.ndim == 2 else colours @ (1, 256, 65536)
        values = {0: IGNORE} | {number: self._table.index[nfc(name)] for name, number in drawing.shapes}
        found, index = np.unique(numbers, return_inverse=True)
        unknown = [int(number) for number in found if int(number) not in values]
        if unknown:
            what = f"the map has the segment {unknown[0]}, which the JSON does not name"
            raise EdgekitError(what, where=str(files.label), fix="use the JSON and the maps of one release")
        label = np.array([values[int(number)] for number in found], np.uint8)[index].reshape(numbers.shape)
        return self._upright(label, name, files)


def _known(table: dict, key: int | str, what: str, where: str):
    if key not in table:
        raise EdgekitError(f"the {what} {key} is not in the file", where=where, fix="export the labels again")
    return table[key]


def _counts(text: str) -> list[int]:
    """Run lengths from COCO's text: six bits a character, and from the third on differences to the one before last."""
    counts: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift >= 5 * _LONGEST:
            raise ValueError("an object's run lengths are no text as COCO writes it")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    return counts
