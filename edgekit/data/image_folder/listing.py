"""Which files belong to which frame and split of an image folder, and which frames are labelled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

from edgekit.errors import EdgekitError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
LABEL_SUFFIXES = (".png",)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Files:
    """The files of one frame; ``label`` is None if there is no such file."""

    image: Path
    label: Path | None


def list_folder_splits(root: Path) -> dict[str, dict[str, Files]]:
    """Split -> frame name -> files, for a root with folders ``train``, ``val``, ``test`` (those that exist)."""
    found = {split: pair_files(root / split) for split in SPLITS if (root / split / "images").is_dir()}
    if not found:
        raise EdgekitError(
            "none of the folders train/images, val/images, test/images is there",
            where=str(root),
            fix="make them, or name frames per split with data.splits: {train: train.txt, val: val.txt}",
        )
    return found


def list_file_splits(root: Path, lists: Mapping[str, Path]) -> dict[str, dict[str, Files]]:
    """The same for a root with ``images`` and ``labels`` and a text file of frame names per split."""
    if not (root / "images").is_dir():
        raise EdgekitError("there is no folder images", where=str(root), fix="with data.splits the root is flat")
    files = pair_files(root)
    splits: dict[str, dict[str, Files]] = {}
    owner: dict[str, str] = {}
    for split, path in lists.items():
        names = sorted(read_names(path, files), key=natural)
        for name in names:
            if name in owner:
                raise EdgekitError(f"the frame '{name}' is in the splits {owner[name]} and {split}", where=str(path))
            owner[name] = split
        splits[split] = {name: files[name] for name in names}
    return splits


def pair_files(folder: Path) -> dict[str, Files]:
    """Frame name -> files of ``folder/images`` and ``folder/labels``, in natural order of the names."""
    images = _by_name(folder / "images", IMAGE_SUFFIXES)
    labels = _by_name(folder / "labels", LABEL_SUFFIXES) if (folder / "labels").is_dir() else {}
    return {name: Files(images[name], labels.get(name)) for name in sorted(images, key=natural)}


def read_names(path: Path, known: Mapping[str, Files]) -> list[str]:
    """The frame names in a text file, one per line; an image suffix and folders before it are allowed, # comments.

    Raises EdgekitError naming file and line for a name that is no frame or stands twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise EdgekitError("the list of frames does not exist", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EdgekitError(f"the list of frames cannot be read: {error}", where=str(path)) from None
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name = entry.replace("\\", "/").rpartition("/")[2]
        if name not in known and name.lower().endswith(IMAGE_SUFFIXES):
            name = name.rpartition(".")[0]
        where = f"{path}, line {number}"
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean '{near[0]}'?" if near else "write names of files in images, without the suffix"
            raise EdgekitError(f"there is no frame '{entry}'", where=where, fix=fix)
        if name in names:
            raise EdgekitError(f"the frame '{name}' stands twice, first in line {names[name]}", where=where)
        names[name] = number
    return list(names)


def evenly_labelled(count: int, fraction: float) -> list[bool]:
    """Which of ``count`` sorted frames are labelled: frame i iff floor(i f) != floor((i - 1) f).

    So 0.25 labels 0, 4, 8, …; 1 all, 0 none.
    """
    exact = Fraction(fraction).limit_denominator(1_000_000)  # 0.29 * 100 is 28.999… in floating point
    return [floor(i * exact) != floor((i - 1) * exact) for i in range(count)]


def natural(name: str) -> tuple[list[int | str], str]:
    """Sort key under which frame 9 comes before frame 10."""
    parts = re.split(r"([0-9]+)", name)  # text and digits in turn, so that like meets like
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _by_name(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise EdgekitError(
                f"two files for the frame '{path.stem}': {files[path.stem].name} and {path.name}",
                where=str(folder),
                fix="keep one of them",
            )
        files[path.stem] = path
    return files
