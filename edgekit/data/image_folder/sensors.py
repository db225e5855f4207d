"""Files of sensors beside the photographs: which belongs to which frame, and one frame of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgekit.data.folders import resized_map
from edgekit.data.image_folder.config import SensorConfig
from edgekit.data.image_folder.listing import FilesByName, find_files, pair_files
from edgekit.errors import EdgekitError
from edgekit.frames.images import PHOTO_SUFFIXES, stored_size
from edgekit.runtime.parallel import read_modality
from edgekit.tasks import Task

_SHAPES_DIFFER = 0.02  # of the ratio of width and height: sides are whole pixels


def find_sensors(
    root: Path, sensors: Mapping[str, SensorConfig], splits: Mapping[str, FilesByName], notes: list[str]
) -> dict[str, dict[Path, Path]]:
    """Modality -> photograph -> its file. A photograph without one is noted.

    EdgekitError where no file is there, or none has the name of a photograph, or two have one.
    """
    found: dict[str, dict[Path, Path]] = {}
    for name, sensor in sensors.items():
        key = f"data.modalities.{name}.files"
        places: dict[str, dict[str, Path]] = {}
        for split, frames in splits.items():
            place = places.setdefault((sensor.files or f"{{split}}/{name}").replace("{split}", split), {})
            for stem, files in frames.items():
                if place.setdefault(stem, files.image) != files.image:
                    fix = "write {split} in it, for the folder of a split's files"
                    raise EdgekitError(f"the frame '{stem}' is in two splits", where=key, fix=fix)
        found[name] = {}
        for place, images in places.items():
            there = find_files(root, place, notes, (*PHOTO_SUFFIXES, ".npz"), key=key)
            pairs = {f.image: f.label for f in pair_files(images, there, place, notes, "file").values() if f.label}
            if len(pairs) < len(images):
                notes.append(f"{place}: {len(images) - len(pairs)} of {len(images)} frames have no '{name}'")
            found[name] |= pairs
    return found


def read_sensor(task: Task, file: Path, photograph: Path, size: tuple[int, int]) -> np.ndarray:
    """One frame of a modality at ``size`` (height, width), which the photograph has or is brought to.

    EdgekitError for a file that holds something else, or does not show the whole view of the photograph.
    """
    (height, width), orientation = stored_size(photograph)
    if orientation != 1:
        raise EdgekitError(
            f"the photograph is turned by its EXIF orientation {orientation}, and nothing says how '{task.name}' lies",
            where=str(photograph),
            fix="store both upright, without an orientation, e.g. with exiftran -a",
        )
    native = read_modality(file, task)
    rows, columns = native.shape[:2]
    if abs(columns * height / (rows * width) - 1) > _SHAPES_DIFFER:
        raise EdgekitError(
            f"'{task.name}' is {columns}x{rows} and the photograph {width}x{height} (width x height): not one view",
            where=str(file),
            fix="crop both to what both show",
        )
    return resized_map(task, native, size)
