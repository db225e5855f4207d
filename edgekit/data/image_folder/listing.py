"""Which files belong to which frame and split of an image folder, and which frames are labelled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from math import floor
from pathlib import Path

from edgekit.data.folders import natural, nfc
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.frames.images import PHOTO_SUFFIXES
from edgekit.frames.outside import read_text

_SPLIT_FOLDERS = ("train", "val", "test")


@dataclass(frozen=True)
class Files:
    """The files of one frame; ``label`` is None if there is no such file."""

    image: Path
    label: Path | None


FilesByName = dict[str, Files]
"""Frame name -> files, in natural order. A name is the image's path below ``images`` without its ending, as NFC."""


def list_folder_splits(root: Path, notes: list[str]) -> dict[str, FilesByName]:
    """The frames of the splits of a root with folders ``train``, ``val``, ``test`` (those that exist).

    What was left out, or paired by a part of its name, is added to ``notes``.
    """
    found = {split: pair_files(root / split, notes) for split in _SPLIT_FOLDERS if (root / split / "images").is_dir()}
    if not found:
        raise EdgekitError(
            "none of the folders train/images, val/images, test/images is there",
            where=str(root),
            fix="make them, or name frames per split with data.splits: {train: train.txt, val: val.txt}",
        )
    others = sorted(path.parent.name for path in root.glob("*/images") if path.parent.name not in found)
    notes += [
        f"the folder {name} is no split and is not read: splits are {', '.join(_SPLIT_FOLDERS)}" for name in others
    ]
    return found


def list_file_splits(root: Path, lists: Mapping[str, Path], notes: list[str]) -> dict[str, FilesByName]:
    """The same for a root with ``images`` and ``labels`` and a text file of frame names per split."""
    if not (root / "images").is_dir():
        raise EdgekitError("there is no folder images", where=str(root), fix="with data.splits the root is flat")
    files = pair_files(root, notes)
    splits: dict[str, FilesByName] = {}
    owner: dict[str, str] = {}
    for split, path in lists.items():
        names = sorted(read_names(path, files), key=natural)
        for name in names:
            if name in owner:
                raise EdgekitError(f"the frame '{name}' is in the splits {owner[name]} and {split}", where=str(path))
            owner[name] = split
        splits[split] = {name: files[name] for name in names}
    left = [name for name in files if name not in owner]
    if left:
        notes.append(f"{len(left)} of {len(files)} images are in no split, the first is {left[0]}")
    return splits


def pair_files(folder: Path, notes: list[str]) -> FilesByName:
    """The frames of ``folder/images``, with the labels of the same names in ``folder/labels``; sub-folders too.

    A suffix or prefix that all labels have beyond the image's name (x.jpg, x_mask.png) is ignored.
    EdgekitError where two files claim one frame, or no label belongs to an image.
    """
    images = _by_name(folder / "images", notes)
    labels = _by_name(folder / "labels", notes) if (folder / "labels").is_dir() else {}
    if labels and images and not labels.keys() & images.keys():
        first = next(iter(labels.values()))
        labels = _renamed(labels, images)
        if labels is None:
            raise EdgekitError(
                "no label has the name of an image",
                where=str(first),
                fix=f"name each label like its image, e.g. {Path('labels', min(images, key=natural) + first.suffix)}",
            )
        name = next(name for name, path in labels.items() if path == first)
        notes.append(f"{folder.name}: labels pair by a part of their names, {first.name} with {images[name].name}")
    alone = [path.name for name, path in labels.items() if name not in images]
    if alone:
        notes.append(f"{folder.name}: {len(alone)} of {len(labels)} labels belong to no image, the first is {alone[0]}")
    return {name: Files(images[name], labels.get(name)) for name in sorted(images, key=natural)}


def read_names(path: Path, known: Mapping[str, Files]) -> list[str]:
    """The frame names in a text file, one per line; an image's ending and folders before it are allowed, # comments.

    Raises EdgekitError naming file and line for a name that is no frame or is listed twice.
    """
    try:
        lines = read_text(path, what="the list of frames", fix="write the frames' names, one in a line").splitlines()
    except FileNotFoundError:
        fix = "write the frames' names into it, one in a line, or name another file"
        raise EdgekitError("the list of frames does not exist", where=str(path), fix=fix) from None
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name = _frame_of(entry, known)
        where = f"{path}, line {number}"
        if name is None:
            fix = did_you_mean(entry, known) or "write names of files in images, without the suffix"
            raise EdgekitError(f"there is no frame '{entry}'", where=where, fix=fix)
        if name in names:
            raise EdgekitError(f"the frame '{name}' is listed twice, first in line {names[name]}", where=where)
        names[name] = number
    return list(names)


def evenly_labelled(count: int, fraction: float) -> list[bool]:
    """Which of ``count`` sorted frames are labelled: frame i iff floor(i f) != floor((i - 1) f).

    So 0.25 labels 0, 4, 8, …; 1 all, 0 none.
    """
    exact = Fraction(fraction).limit_denominator(1_000_000)  # 0.29 * 100 is 28.999… in floating point
    return [floor(i * exact) != floor((i - 1) * exact) for i in range(count)]


def _frame_of(entry: str, known: Mapping[str, Files]) -> str | None:
    """The frame that a line of a list names: by its path in images, also with folders before it."""
    parts = nfc(entry).replace("\\", "/").split("/")
    for name in ("/".join(parts[i:]) for i in range(len(parts))):
        stem = name.rpartition(".")[0] if name.lower().endswith(PHOTO_SUFFIXES) else name
        if name in known or stem in known:
            return name if name in known else stem
    return None


def _by_name(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Name -> file of all images below a folder; other files are added to ``notes``."""
    files: dict[str, Path] = {}
    others: Counter[str] = Counter()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            if path.suffix.lower() not in PHOTO_SUFFIXES:
                others[path.suffix.lower() or path.name] += 1
                continue
            name = nfc(path.relative_to(folder).with_suffix("").as_posix())
            if name in files:
                both = " and ".join(str(file.relative_to(folder)) for file in (files[name], path))
                raise EdgekitError(
                    f"two files for the frame '{name}': {both}", where=str(folder), fix="keep one of them"
                )
            files[name] = path
    if others:
        counts = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        note = f"{folder.parent.name}/{folder.name}: files that are not read: {counts}"
        if not files:
            raise EdgekitError(note, where=str(folder), fix=f"convert them to one of {', '.join(PHOTO_SUFFIXES)}")
        notes.append(note)
    return files


def _renamed(labels: Mapping[str, Path], images: Mapping[str, Path]) -> dict[str, Path] | None:
    """Labels by the names of their images, where a suffix (or prefix) of either makes them differ; None otherwise."""
    for cut in (_without_end, _without_start):
        for i in range(_shared(images, cut) + 1):
            cores = {core: name for name in images if (core := cut(name, i))}
            for j in range(_shared(labels, cut) + 1):
                if all(cut(name, j) in cores for name in labels):
                    return {cores[cut(name, j)]: path for name, path in labels.items()}
    return None


_Cut = Callable[[str, int], str]


def _without_end(name: str, count: int) -> str:
    """A name without its last characters; empty where that would cut a word or a number in two."""
    kept, cut = name[: len(name) - count], name[len(name) - count :]
    pair = kept[-1:] + cut[:1]
    return "" if len(pair) == 2 and (pair.isalpha() or pair.isdigit()) else kept


def _without_start(name: str, count: int) -> str:
    folder, slash, base = name.rpartition("/")
    kept = _without_end(base[::-1], count)[::-1]
    return kept and folder + slash + kept


def _shared(names: Mapping[str, Path], cut: _Cut) -> int:
    """How many last (or first) characters all names have in common, fewer than the shortest has."""
    ends = [name[::-1] if cut is _without_end else name.rpartition("/")[2] for name in names]
    same = takewhile(lambda characters: len(set(characters)) == 1, zip(*ends, strict=False))
    return min(len(list(same)), min(map(len, ends)) - 1)
