"""Class tables: from the colours or values in label images to the classes a recipe asks for."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.data.class_names import MOST_CLASSES
from edgekit.data.folders import nfc
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.frames.outside import read_text
from edgekit.tasks.legend import Colour
from edgekit.tasks.task import IGNORE

LabelClasses = Mapping[str, Colour | None]
"""The classes as the label images know them, in the order of their indices, with their colours where they have any."""

_UNKNOWN = MOST_CLASSES  # in the lookup tables, where classes are 0 to 253
_HEADER = ["name", "r", "g", "b"]
_EXAMPLE = "write one class per line as `name, r, g, b`, e.g. `grass, 0, 102, 0`"


def read_class_dict(path: Path) -> dict[str, Colour]:
    """Name -> colour of a CSV file ``name, r, g, b``, spaces and a header allowed, columns in the header's order.

    Raises EdgekitError naming file and line for a row that is not four values, a colour outside 0-255, a name given
    twice, a missing or an empty file.
    """
    try:
        text = read_text(path, what="the class table", fix=_EXAMPLE)
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except FileNotFoundError:
        fix = "add the file, name another with class_dict, or give class_names for labels that hold indices"
        raise EdgekitError("the class table does not exist", where=str(path), fix=fix) from None
    except csv.Error as error:
        raise EdgekitError(f"the class table cannot be read: {error}", where=str(path), fix=_EXAMPLE) from None
    columns = _HEADER
    classes: dict[str, Colour] = {}
    for line, row in enumerate(rows, 1):
        cells = [nfc(cell.strip()) for cell in row]
        if not any(cells):
            continue
        if not classes and columns is _HEADER and sorted(c.lower() for c in cells) == sorted(_HEADER):
            columns = [cell.lower() for cell in cells]
            continue
        where = f"{path}, line {line}"
        if len(cells) != len(_HEADER):
            raise EdgekitError(f"{len(cells)} values instead of 4: {', '.join(cells)[:200]}", where=where, fix=_EXAMPLE)
        named = dict(zip(columns, cells, strict=True))
        levels = [named[channel] for channel in "rgb"]
        if not all(level.isascii() and level.isdigit() and len(level) < 9 and int(level) <= 255 for level in levels):
            what = f"the colour of '{named['name']}' is {', '.join(levels)}, but must be three numbers from 0 to 255"
            raise EdgekitError(what, where=where, fix=_EXAMPLE)
        if not named["name"] or named["name"] in classes:
            what = f"the class '{named['name']}' is listed twice" if named["name"] else "a class without a name"
            raise EdgekitError(what, where=where, fix="give every class its own name")
        classes[named["name"]] = tuple(map(int, levels))
    if not classes:
        raise EdgekitError("the class table is empty", where=str(path), fix=_EXAMPLE)
    return classes


class ClassTable:
    """Merges old classes into new ones by name and decodes label images.

    ``merge`` new name -> old names, in index order (none: every old class that is not ignored stays as it is);
    ``ignore`` old names that become 255; ``colours`` new name -> colour. ``source`` is named in errors.

    Raises EdgekitError for an unknown or repeated old name, for old names that are neither merged nor ignored, and for
    one colour that would have to be two classes.

    ``index``: old name -> the new class's index, or 255.
    """

    def __init__(
        self,
        old: LabelClasses,
        *,
        merge: Mapping[str, Sequence[str]] | None = None,
        ignore: Sequence[str] = (),
        colours: Mapping[str, Colour] | None = None,
        source: str = "the class table",
    ):
        old = {nfc(name): colour for name, colour in old.items()}
        ignore, colours = [nfc(name) for name in ignore], {nfc(name): c for name, c in (colours or {}).items()}
        if merge is None:
            merge = {name: [name] for name in old if name not in ignore}
        merge = {nfc(new): [nfc(name) for name in names] for new, names in merge.items()}
        self.index = target = _targets(list(old), merge, ignore, source)
        if not 1 <= len(merge) <= MOST_CLASSES:
            what = f"{len(merge)} classes from {len(old)}, but there must be 1 to {MOST_CLASSES}, with 255 for ignore"
            fix = "merge more of them under data.classes, or leave rare ones out with data.ignore"
            raise EdgekitError(what, where="data.classes", fix=fix)
        self.classes: tuple[str, ...] = tuple(merge)
        self.colours = _new_colours(old, merge, colours)
        self._by_colour = _colour_table(old, target, source)
        self._by_value = _value_table(old, target)

    @property
    def has_colours(self) -> bool:
        """Whether labels can be decoded from colours."""
        return self._by_colour is not None

    def decode(self, label: np.ndarray, where: str) -> np.ndarray:
        """A label image, (H, W) uint8 values or (H, W, 3) uint8 colours, as (H, W) uint8 class index, 255 = ignore.

        Raises EdgekitError naming ``where`` and the offending colour (count, first pixel) or values.
        """
        if label.ndim == 2:
            decoded = self._by_value[label]
            if (decoded == _UNKNOWN).any():
                raise _unknown_values(label, decoded == _UNKNOWN, where)
            return decoded
        if self._by_colour is None and (label == label[..., :1]).all():
            return self.decode(label[..., 0], where)  # values saved three times
        if self._by_colour is None:
            raise EdgekitError(
                "the label image holds colours, but class_names has none",
                where=where,
                fix="give class_dict: a CSV file with `name, r, g, b`",
            )
        decoded = self._by_colour[_packed(label)]
        if (decoded == _UNKNOWN).any():
            raise _unknown_colours(label, decoded == _UNKNOWN, where)
        return decoded


def _targets(
    old: Sequence[str], merge: Mapping[str, Sequence[str]], ignore: Sequence[str], source: str
) -> dict[str, int]:
    """Old name -> new index or 255."""
    target: dict[str, int] = {}
    wishes = [
        (name, index, f"data.classes.{new}") for index, (new, names) in enumerate(merge.items()) for name in names
    ]
    wishes += [(name, IGNORE, "data.ignore") for name in ignore]
    for name, index, where in wishes:
        if name not in old:
            fix = did_you_mean(name, old) or f"the classes of {source} are: {', '.join(old)}"
            raise EdgekitError(f"{source} has no class '{name}'", where=where, fix=fix)
        if name in target:
            raise EdgekitError(f"the class '{name}' is used twice", where=where, fix="name each class once")
        target[name] = index
    for new, names in merge.items():
        if not names:
            fix = "name the classes that it is merged from, or remove it"
            raise EdgekitError(f"the class '{new}' is merged from no class", where=f"data.classes.{new}", fix=fix)
    left = [name for name in old if name not in target]
    if left:
        raise EdgekitError(
            f"classes of {source} are neither merged nor ignored: {', '.join(left)}",
            where="data.classes",
            fix="add each to one of data.classes or to data.ignore",
        )
    return target


def _new_colours(
    old: LabelClasses, merge: Mapping[str, Sequence[str]], wished: Mapping[str, Colour]
) -> tuple[Colour, ...]:
    for name in wished:
        if name not in merge:
            fix = did_you_mean(name, merge) or f"the classes are: {', '.join(merge)}"
            raise EdgekitError(f"a colour for '{name}', which is no class", where=f"data.colours.{name}", fix=fix)
    colours = {new: wished.get(new, old[names[0]]) for new, names in merge.items()}
    missing = [new for new, colour in colours.items() if colour is None]
    if len(missing) == len(colours):
        return ()
    if missing:
        raise EdgekitError(
            f"classes without a colour: {', '.join(missing)}",
            where="data.colours",
            fix="give a colour for every class or for none",
        )
    return tuple(tuple(colour) for colour in colours.values() if colour is not None)


def _colour_table(old: LabelClasses, target: Mapping[str, int], source: str) -> np.ndarray | None:
    """(2^24,) uint8: class by packed colour. 16 MB, of which a label image touches a few cache lines."""
    if None in old.values():
        return None
    owner: dict[Colour, str] = {}
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for name, (red, green, blue) in old.items():
        other = owner.setdefault((red, green, blue), name)
        if target[other] != target[name]:
            raise EdgekitError(
                f"'{other}' and '{name}' have one colour {(red, green, blue)} but go to different classes",
                where=source,
                fix="give each its own colour, or merge them into one class",
            )
        table[red << 16 | green << 8 | blue] = target[name]
    return table


def _value_table(old: LabelClasses, target: Mapping[str, int]) -> np.ndarray:
    """(256,) uint8: class by the value of a one-channel label."""
    table = np.full(256, _UNKNOWN, np.uint8)
    table[IGNORE] = IGNORE
    # black and white masks: where every colour is a grey, the one channel holds the grey and not the row
    greys = [colour[0] for colour in old.values() if colour and len(set(colour)) == 1]
    values = greys if len(greys) == len(old) else range(min(len(old), 256))
    for value, name in zip(values, old, strict=False):
        table[value] = target[name]
    if set(values) == {0, 255}:  # an image of one bit holds its white as 1
        table[1] = table[255]
    return table


def _packed(label: np.ndarray) -> np.ndarray:
    packed = label[..., 0].astype(np.uint32)
    for channel in (1, 2):
        packed <<= 8
        packed |= label[..., channel]
    return packed


def _unknown_values(label: np.ndarray, wrong: np.ndarray, where: str) -> EdgekitError:
    values, counts = np.unique(label[wrong], return_counts=True)
    shown = ", ".join(f"{v} ({n} pixels)" for v, n in list(zip(values, counts, strict=True))[:5])
    more = f" and {len(values) - 5} other values" if len(values) > 5 else ""
    return EdgekitError(
        f"label values outside the classes: {shown}{more}",
        where=where,
        fix="name them in the class table or class_names too, and what means no label under data.ignore (or 255)",
    )


def _unknown_colours(label: np.ndarray, wrong: np.ndarray, where: str) -> EdgekitError:
    colours, counts = np.unique(label[wrong], axis=0, return_counts=True)
    worst = counts.argmax()
    y, x = np.argwhere((label == colours[worst]).all(axis=-1))[0]
    colour = ", ".join(str(level) for level in colours[worst])
    many = len(colours) > 1
    more = f"; and {len(colours) - 1} other colours in {counts.sum() - counts[worst]} pixels" if many else ""
    return EdgekitError(
        f"the label colour ({colour}) is no class: {counts[worst]} pixels, the first at x={x}, y={y}{more}",
        where=where,
        fix="save labels without JPEG compression or smoothing, or add the colour to the class table"
        if many
        else "add the colour to the class table",
    )
