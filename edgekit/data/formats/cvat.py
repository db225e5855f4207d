"""The source behind ``cvat``: the XML of "CVAT for images 1.1"."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from edgekit.data.formats.drawn import Drawing, ManyInOne, ManyInOneConfig, read_labels
from edgekit.data.formats.shapes import FARTHEST, DrawnShape, box, ellipse, polygon, runs
from edgekit.errors import EdgekitError

_SHAPES = ("polygon", "box", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton")
_FIX = "export the task as 'CVAT for images 1.1'"


class CvatConfig(ManyInOneConfig):
    """Images with an export of CVAT, format "CVAT for images 1.1", https://docs.cvat.ai/docs/dataset_management/formats.

    Polygons, boxes, ellipses and masks are drawn in the order of their layers (``z_order``); lines and points have no
    area and are refused, unless their class is among ``ignore``. What no shape covers is the class ``background``. An
    image without any shape counts as not annotated yet: it has no label.
    """


class Cvat(ManyInOne):
    """Frames of a `CvatConfig`: ``rgb`` and ``semantic``, as `ImageFolder`'s."""

    def _parse(self, path: Path) -> tuple[list[str], list[tuple[str, Drawing]]]:
        content = read_labels(path)
        try:
            text = content.decode("utf-8-sig")  # in other encodings the next line would look for other bytes
            if "<!DOCTYPE" in text:  # what it may define can be made to grow without bound
                raise ValueError("it defines entities, which CVAT does not")
            root = ElementTree.fromstring(text)
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise EdgekitError(f"the labels are no XML: {error}", where=str(path), fix=_FIX) from error
        if root.tag != "annotations" or root.find("track") is not None:
            raise EdgekitError("the labels are not those of images", where=str(path), fix=_FIX)
        names = [element.findtext("name") or "" for meta in root.findall("meta") for element in meta.iter("label")]
        drawings = []
        for image in root.findall("image"):
            name = image.get("name", "")
            try:
                shapes = [shape for shape in image if shape.tag in _SHAPES]
                size = _side(image.attrib, "height"), _side(image.attrib, "width")
                shapes.sort(key=lambda shape: float(shape.get("z_order", 0)))
            except ValueError as error:
                raise EdgekitError(str(error), where=f"{path}: {name}", fix=_FIX) from error
            told = [(shape.get("label", ""), (shape.tag, shape.attrib)) for shape in shapes]
            drawings.append((name, Drawing(*size, path if shapes else None, told)))
        return names, drawings

    def _shapes(self, told: tuple[str, dict[str, str]], height: int, width: int) -> Iterable[DrawnShape] | None:
        kind, about = told
        if kind == "polygon":
            return [polygon(_numbers(about.get("points", ""), "points"), height, width)]
        if kind in ("box", "ellipse"):
            if float(about.get("rotation", 0)):
                raise ValueError(f"a {kind} is rotated, which is not read: make it a polygon")
            keys = ("xtl", "ytl", "xbr", "ybr") if kind == "box" else ("cx", "cy", "rx", "ry")
            draw = box if kind == "box" else ellipse
            return [draw(*(_number(about, key) for key in keys), height, width)]
        if kind == "mask":
            size = _side(about, "height"), _side(about, "width")
            shape = runs(_numbers(about.get("rle", ""), "run lengths"), *size)
            top, left = int(_number(about, "top")), int(_number(about, "left"))
            return [DrawnShape(shape.mask, shape.top + top, shape.left + left)]
        return None


def _numbers(text: str, what: str) -> np.ndarray:
    try:
        return np.array(text.replace(";", ",").split(","), np.float64)
    except ValueError:
        raise ValueError(f"a shape has {what} that are no numbers") from None


def _number(about: dict[str, str], key: str) -> float:
    try:
        number = float(about[key])
    except (KeyError, ValueError):
        number = np.nan
    if not abs(number) <= FARTHEST:
        raise ValueError(f"there is a {key} of '{about.get(key, '')}', which is no number of pixels")
    return number


def _side(about: dict[str, str], key: str) -> int:
    side = _number(about, key)
    if not 1 <= side <= 16384:
        raise ValueError(f"there is a {key} of {side:g} pixels, and there must be 1 to 16384")
    return int(side)
