"""The source behind ``labelme``: one JSON per image, as LabelMe saves it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from edgekit import limits
from edgekit.data.class_names import ClassNames
from edgekit.data.folders import Side
from edgekit.data.formats.drawn import Coordinate, Drawn, parse
from edgekit.data.formats.shapes import DrawnShape, box, ellipse, polygon
from edgekit.data.image_folder.config import FormatConfig
from edgekit.data.image_folder.listing import Files
from edgekit.errors import EdgekitError
from edgekit.tasks import Task


class LabelmeConfig(FormatConfig):
    """Images with LabelMe's JSON of the same name beside them, https://github.com/wkentaro/labelme.

    Polygons, rectangles, circles and masks are drawn in the file's order, later ones on top; lines and points have no
    area and are refused, unless their class is among ``ignore``. What no shape covers is the class ``background``, or
    ``_background_`` where ``class_names`` has that.

    splits       default: ``root`` has folders ``train``, ``val``, ``test`` (those that exist) with images and JSONs
    class_names  the names that shapes may have
    """

    class_names: Annotated[ClassNames, Field(min_length=1)]


class _Shape(BaseModel):
    label: str
    points: list[tuple[Coordinate, Coordinate]]
    shape_type: str | None = None
    mask: str | None = None


class _File(BaseModel):
    shapes: list[_Shape]
    imageHeight: Side
    imageWidth: Side


class Labelme(Drawn):
    """Frames of a `LabelmeConfig`: ``rgb`` and ``semantic``, as `ImageFolder`'s."""

    label_endings = (".json",)
    layout = ("{}", "{}")

    def _describe(self, config: LabelmeConfig) -> Task:
        self.background = "_background_" if "_background_" in config.class_names else self.background
        return self._named(config, config.class_names, "data.class_names")

    def _label(self, name: str, files: Files) -> np.ndarray:
        told = parse(_File, files.label)
        size = told.imageHeight, told.imageWidth
        try:
            label = self._draw(size, ((shape.label, _parts(shape, *size)) for shape in told.shapes))
        except ValueError as error:
            raise EdgekitError(str(error), where=str(files.label), fix="correct the label in LabelMe") from error
        return self._upright(label, name, files)


def _parts(shape: _Shape, height: int, width: int) -> Iterable[DrawnShape] | None:
    kind, points = shape.shape_type or "polygon", shape.points
    if kind in ("rectangle", "circle", "mask") and len(points) != 2:
        raise ValueError(f"a {kind} needs two points, and one has {len(points)}")
    if kind in ("polygon", "oriented_rectangle"):
        return [polygon(points, height, width)]
    if kind == "rectangle":
        return [box(*points[0], *points[1], height, width)]
    if kind == "circle":
        radius = float(np.hypot(*np.subtract(points[1], points[0])))
        return [ellipse(*points[0], radius, radius, height, width)]
    if kind == "mask":
        left, top = (int(side) for side in points[0])
        return [DrawnShape(_mask(shape.mask or ""), top, left)]
    return None


def _mask(text: str) -> np.ndarray:
    """(h, w) bool of a PNG in base64."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as image:
            if image.width * image.height > limits.MOST_PIXELS:
                raise ValueError(f"it has {image.size[0]}x{image.size[1]} pixels")
            return np.array(image.convert("L")) > 0
    except Exception as error:  # what Pillow raises for a damaged picture is of many types
        raise ValueError(f"a mask is no PNG in base64: {error}") from error
