"""Which files belong to which frame and split of an image folder, and which frames are labelled."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from math import floor
from pathlib import Path

from edgekit.data.folders import natural, nfc
from edgekit.data.image_folder.config import SplitFiles
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.frames.images import PHOTO_SUFFIXES
from edgekit.frames.outside import read_text

SPLIT_FOLDERS = ("train", "val", "test")


@dataclass(frozen=True)
class Files:
    """The files of one frame; ``label`` is None if there is no such file."""

    image: Path
    label: Path | None


FilesByName = dict[str, Files]
"""Frame name -> files, in natural order. A name is the image's path below ``images`` without its ending, as NFC."""


def default_splits(root: Path, images: str, labels: str, notes: list[str]) -> dict[str, SplitFiles]:
    """Where the splits train, val and test lie that exist; ``{}`` in ``images`` and ``labels`` is a split's name.

    ``notes`` gets folders that look like a split under another name.
    """
    fixed = _without_stars(images)
    found = {
        split: SplitFiles(
            images=images.format(split),
            labels=labels.format(split) if (root / _without_stars(labels).format(split)).is_dir() else None,
        )
        for split in SPLIT_FOLDERS
        if (root / fixed.format(split)).is_dir()
    }
    if not found:
        raise EdgekitError(
            f"none of the folders {', '.join(fixed.format(split) for split in SPLIT_FOLDERS)} is there",
            where=str(root),
            fix="make them, or say where the files lie with data.splits: {train: {images: FOLDER, labels: FOLDER}}",
        )
    place = len(root.parts) + fixed.split("/").index("{}")
    others = sorted({path.parts[place] for path in root.glob(fixed.format("*"))} - set(found))
    notes += [
        f"the folder {name} is no split and is not read: splits are {', '.join(SPLIT_FOLDERS)}" for name in others
    ]
    return found


def list_splits(
    splits: Mapping[str, SplitFiles],
    pair: Callable[[str, str | None], FilesByName],
    find: Callable[[Path], Path],
    notes: list[str],
) -> dict[str, FilesByName]:
    """The frames of each split.

    pair(images, labels)  the frames of a place
    find(path)            where a list of names lies

    EdgekitError for a list that does not fit the files, and for a frame in two splits.
    """
    places: dict[tuple[str, str | None], FilesByName] = {}
    owner: dict[Path, str] = {}
    found: dict[str, FilesByName] = {}
    for split, about in splits.items():
        place = about.images, about.labels
        files = places[place] if place in places else places.setdefault(place, pair(*place))
        names = list(files) if about.list is None else sorted(read_names(find(about.list), files), key=natural)
        for name in names:
            other = owner.setdefault(files[name].image, split)
            if other != split:
                where = f"data.splits.{split}"
                what = f"the frame '{name}' is in the splits {other} and {split}"
                raise EdgekitError(what, where=where, fix="list it in one of them")
        found[split] = {name: files[name] for name in names}
    everything = {files.image: name for frames in places.values() for name, files in frames.items()}
    left = [name for image, name in everything.items() if image not in owner]
    if left:
        notes.append(f"{len(left)} of {len(everything)} images are in no split, the first is {left[0]}")
    return found


def find_files(
    root: Path,
    pattern: str,
    notes: list[str],
    endings: tuple[str, ...] = PHOTO_SUFFIXES,
    beside: tuple[str, ...] = (),
    *,
    key: str = "data.splits",
) -> dict[str, Path]:
    """Name -> file, for the files below a folder, or those that a pattern fits; see `SplitFiles`.

    ``endings`` are taken, those in ``beside`` passed over, and others noted. EdgekitError where no file fits, or two
    have one name. ``key``: the section of the recipe that names the pattern, for messages.
    """
    if "*" not in pattern:
        if not (root / pattern).is_dir():
            raise EdgekitError(f"there is no folder {pattern}", where=str(root), fix=f"correct {key}")
        return _by_name(root / pattern, notes, endings, beside)
    expression = "".join(
        "(?:.*/)?" if part == "**" else re.escape(part).replace(r"\*", "([^/]*?)") + "/" for part in pattern.split("/")
    ).removesuffix("/")
    files: dict[str, Path] = {}
    for path in sorted(root.glob(pattern)):
        told = path if Path(pattern).suffix else path.with_suffix("")
        match = re.fullmatch(expression, told.relative_to(root).as_posix())
        if match and path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file():
            _add(files, nfc("/".join(match.groups())), path, root)
    if not files:
        fix = f"correct {key}; files end in {', '.join(endings)}"
        raise EdgekitError(f"no file fits '{pattern}'", where=str(root), fix=fix)
    return files


def pair_files(
    images: Mapping[str, Path], labels: Mapping[str, Path], where: str, notes: list[str], what: str = "label"
) -> FilesByName:
    """The frames of these images, with the labels of the same names; ``where`` is named in notes.

    ``what`` the labels are, for messages.

    A suffix or prefix that all labels have beyond the image's name (x.jpg, x_mask.png) is ignored.
    EdgekitError where no label belongs to an image.
    """
    if labels and images and not labels.keys() & images.keys():
        first = next(iter(labels.values()))
        labels = _renamed(labels, images)
        if labels is None:
            raise EdgekitError(
                f"no {what} has the name of an image",
                where=str(first),
                fix=f"name each {what} like its image, e.g. {min(images, key=natural)}{first.suffix}",
            )
        name = next(name for name, path in labels.items() if path == first)
        notes.append(f"{where}: {what}s pair by a part of their names, {first.name} with {images[name].name}")
    alone = [path.name for name, path in labels.items() if name not in images]
    if alone:
        notes.append(f"{where}: {len(alone)} of {len(labels)} {what}s belong to no image, the first is {alone[0]}")
    return {name: Files(images[name], labels.get(name)) for name in sorted(images, key=natural)}


def read_names(path: Path, known: Collection[str]) -> list[str]:
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
        name = frame_of(entry, known)
        where = f"{path}, line {number}"
        if name is None:
            fix = did_you_mean(entry, known) or "write names of files in images, without the suffix"
            raise EdgekitError(f"there is no frame '{entry}'", where=where, fix=fix)
        if name in names:
            what = f"the frame '{name}' is listed twice, first in line {names[name]}"
            raise EdgekitError(what, where=where, fix="list it once")
        names[name] = number
    return list(names)


def evenly_labelled(count: int, fraction: float) -> list[bool]:
    """Which of ``count`` sorted frames are labelled: frame i iff floor(i f) != floor((i - 1) f).

    So 0.25 labels 0, 4, 8, …; 1 all, 0 none.
    """
    exact = Fraction(fraction).limit_denominator(1_000_000)  # 0.29 * 100 is 28.999… in floating point
    return [floor(i * exact) != floor((i - 1) * exact) for i in range(count)]


def frame_of(entry: str, known: Collection[str]) -> str | None:
    """The frame that an entry names: by its path in images, also with folders before it."""
    parts = nfc(entry).replace("\\", "/").split("/")
    for name in ("/".join(parts[i:]) for i in range(len(parts))):
        stem = name.rpartition(".")[0] if name.lower().endswith(PHOTO_SUFFIXES) else name
        if name in known or stem in known:
            return name if name in known else stem
    return None


def _by_name(folder: Path, notes: list[str], endings: tuple[str, ...], beside: tuple[str, ...] = ()) -> dict[str, Path]:
    """Name -> file of all files below a folder with one of the endings; what else lies there is noted."""
    files: dict[str, Path] = {}
    others: Counter[str] = Counter()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            ending = path.suffix.lower()
            if ending in endings:
                _add(files, nfc(path.relative_to(folder).with_suffix("").as_posix()), path, folder)
            elif ending not in beside:
                others[ending or path.name] += 1
    if others:
        told = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        note = f"{folder.parent.name}/{folder.name}: files that are not read: {told}"
        if not files:
            raise EdgekitError(note, where=str(folder), fix=f"convert them to one of {', '.join(endings)}")
        notes.append(note)
    return files


def _add(files: dict[str, Path], name: str, path: Path, folder: Path) -> None:
    if name in files:
        both = " and ".join(str(file.relative_to(folder)) for file in (files[name], path))
        raise EdgekitError(f"two files for the frame '{name}': {both}", where=str(folder), fix="keep one of them")
    files[name] = path


def _without_stars(pattern: str) -> str:
    return "/".join(takewhile(lambda part: "*" not in part, pattern.split("/")))


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
