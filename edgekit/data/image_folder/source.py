"""The source behind ``image_folder``: photographs with label images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgekit.data.folders import hash_files, required_scene, resized, root_folder
from edgekit.data.image_folder.class_table import ClassTable, read_class_dict
from edgekit.data.image_folder.config import ImageFolderConfig
from edgekit.data.image_folder.listing import (
    Files,
    FilesByName,
    evenly_labelled,
    list_file_splits,
    list_folder_splits,
    read_names,
)
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.frames.images import read_label, read_photo, stored_size, turn
from edgekit.tasks import Task

_READING = 2  # raised when other maps come of the same files
LABELLED_SPLIT = "train"  # the split whose labels a recipe may hold back; the others exist to be measured on


class ImageFolder:
    """Frames of an `ImageFolderConfig`: ``rgb`` (H, W, 3) uint8 and ``semantic`` (H, W) uint8, 255 = ignore.

    ``base`` is the folder the recipe lies in; ``cache`` is unused, since reading the files is fast enough.

    Raises EdgekitError for a root, list, class table or scene expression that does not fit the files.
    """

    def __init__(self, config: ImageFolderConfig, base: Path, cache: Path | None = None):
        self._root = root_folder(config.root, base)
        self._base = Path(base)
        self._size = config.size
        self._labels_upright = config.labels_upright
        self.sequential = config.film
        self._table = self._class_table(config)
        self._files: dict[str, Files] = {}
        self._orientations: dict[str, int] = {}  # by EXIF, of the frames that were read
        self.notes: list[str] = []
        self._frames = self._infos(config, self._list(config))
        self.tasks: dict[str, Task] = {
            "rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
            "semantic": Task("semantic", "semantic", classes=self._table.classes, colours=self._table.colours),
        }

    def splits(self) -> tuple[str, ...]:
        return tuple(self._frames)

    def frames(self, split: str) -> list[FrameInfo]:
        """The frames of a split in natural order of their names. KeyError for an unknown split."""
        return list(self._frames[split])

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The native maps ``rgb`` and ``semantic``, whichever is asked for; no ``semantic`` of an unlabelled frame.

        Raises EdgekitError naming the file: missing, damaged, a label outside the classes, a label that may or may not
        be turned as its photograph is, or (when both are asked for) image and label of different size.
        """
        files = self._files[frame.name]
        names = set(names)
        maps: dict[str, np.ndarray] = {}
        if "rgb" in names:
            maps["rgb"], self._orientations[frame.name] = read_photo(files.image)
        if "semantic" in names and frame.labelled:
            if files.label is None:
                raise EdgekitError(
                    "the frame counts as labelled but has no label image",
                    where=str(files.image),
                    fix=f"add {files.image.stem}.png to the labels, or leave the frame out of data.labelled "
                    "(present: only frames with a label image count as labelled)",
                )
            label = read_label(files.label, palette_colours=self._table.has_colours)
            if self._orientations.get(frame.name) != 1:  # most formats have it in the header, PNG at the end
                label = self._turned(label, frame.name)
            maps["semantic"] = self._table.decode(label, str(files.label))
        sizes = {name: array.shape[:2] for name, array in maps.items()}
        if len(set(sizes.values())) > 1:
            shown = " and ".join(f"{'image' if n == 'rgb' else 'label'} {w}x{h}" for n, (h, w) in sizes.items())
            raise EdgekitError(
                f"image and label differ in size: {shown} (width x height)",
                where=str(files.label),
                fix="export the label at the size of the image",
            )
        return {name: resized(self.tasks[name], array, self._size) for name, array in maps.items()}

    def fingerprint(self) -> str:
        """SHA-256 over every file's name, size and time of change, the class table and which frames are labelled."""
        paths = ((name, path) for name, files in sorted(self._files.items()) for path in (files.image, files.label))
        return hash_files(
            (_READING, self._label_classes, self._frames, self._labels_upright),
            ((f"{name}\0{path.name}", path) for name, path in paths if path is not None),
        )

    def flow(self, frame: FrameInfo) -> np.ndarray | None:
        """None: photographs come without exact flow."""
        return None

    def _turned(self, label: np.ndarray, name: str) -> np.ndarray:
        """The label as the photograph is turned by its EXIF orientation, be it drawn before or after that turn."""
        files = self._files[name]
        stored, orientation = stored_size(files.image)
        self._orientations[name] = orientation
        if orientation == 1 or stored_size(files.label)[1] != 1:  # a label with an orientation of its own is upright
            return label
        upright, size = stored[::-1] if orientation >= 5 else stored, label.shape[:2]
        if upright == stored and self._labels_upright is None:
            raise EdgekitError(
                f"the photograph is turned by its EXIF orientation {orientation}, and nothing says whether its label "
                "is drawn on the turned photograph or on the pixels as they are stored",
                where=str(files.label),
                fix="say data.labels_upright: true (turned) or false (as stored)",
            )
        drawn_upright = size != stored if self._labels_upright is None else self._labels_upright
        return label if drawn_upright else turn(label, orientation)

    def _class_table(self, config: ImageFolderConfig) -> ClassTable:
        if config.class_names is not None:
            classes, source = dict.fromkeys(config.class_names), "data.class_names"
        else:
            path = self._find(config.class_dict or Path("class_dict.csv"))
            classes, source = read_class_dict(path), str(path)
        self._label_classes = classes
        return ClassTable(classes, merge=config.classes, ignore=config.ignore, colours=config.colours, source=source)

    def _list(self, config: ImageFolderConfig) -> dict[str, FilesByName]:
        if config.splits is None:
            return list_folder_splits(self._root, self.notes)
        lists = {split: self._find(path) for split, path in config.splits.items()}
        return list_file_splits(self._root, lists, self.notes)

    def _infos(self, config: ImageFolderConfig, listed: dict[str, FilesByName]) -> dict[str, list[FrameInfo]]:
        stems = [stem for files in listed.values() for stem in files]
        repeated = len(set(stems)) < len(stems)  # train/images/000.jpg beside val/images/000.jpg
        infos: dict[str, list[FrameInfo]] = {}
        for split, files in listed.items():
            labelled = self._labelled(split, files, config)
            counts: Counter[str] = Counter()
            infos[split] = []
            for (stem, paths), is_labelled in zip(files.items(), labelled, strict=True):
                name = f"{split}-{stem}" if repeated else stem
                scene = f"{split}/{stem}".rpartition("/")[0]
                if config.scene_regex is not None:
                    scene = required_scene(config.scene_regex, stem)
                infos[split].append(FrameInfo(name, scene, counts[scene], split, is_labelled))
                counts[scene] += 1
                self._files[name] = paths
        return infos

    def _labelled(self, split: str, files: FilesByName, config: ImageFolderConfig) -> list[bool]:
        if config.labelled == "present":
            return [paths.label is not None for paths in files.values()]
        if split != LABELLED_SPLIT:
            # a split without any label image is there to be predicted; one missing among many is a mistake
            return [any(f.label for f in files.values())] * len(files)
        if isinstance(config.labelled, Path):
            chosen = set(read_names(self._find(config.labelled), files))
            return [name in chosen for name in files]
        return evenly_labelled(len(files), 1.0 if config.labelled == "all" else config.labelled)

    def _find(self, path: Path) -> Path:
        """A file named in the recipe: in the root or else beside the recipe."""
        path = expand_home(path)
        beside = self._base / path
        return beside if beside.exists() and not (self._root / path).exists() else self._root / path
