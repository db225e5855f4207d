"""The source behind ``image_folder``: photographs with label images."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgekit.data.folders import UNSIZED_PIXELS, bounded_size, hash_files, required_scene, resized_map, root_folder
from edgekit.data.image_folder.class_table import ClassTable, LabelClasses, read_class_dict
from edgekit.data.image_folder.config import ImageFolderConfig, SplitFiles
from edgekit.data.image_folder.listing import (
    Files,
    FilesByName,
    default_splits,
    evenly_labelled,
    find_files,
    list_splits,
    pair_files,
    read_names,
)
from edgekit.data.image_folder.sensors import find_sensors, read_sensor
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_label, read_photo, stored_size, turn
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB

_READING = 3  # raised when other maps come of the same files
LABELLED_SPLIT = "train"  # the split whose labels a recipe may hold back; the others exist to be measured on


class ImageFolder:
    """Frames of an `ImageFolderConfig`: ``rgb`` (H, W, 3) uint8, ``semantic`` (H, W) uint8, 255 = ignore, and
    what other sensors show.

    ``base`` is the folder the recipe lies in; ``cache`` is unused, since reading the files is fast enough. Sources of
    labels in other formats (`edgekit.data.formats`) are this one with `_describe`, `_pair` or `_label` of their own.

    Raises EdgekitError for a root, list, class table or scene expression that does not fit the files.
    """

    label = "semantic"
    label_endings: tuple[str, ...] = PHOTO_SUFFIXES
    layout: tuple[str, ...] = ("{}/images", "{}/labels")  # where a split lies if the recipe does not say it

    def __init__(self, config: ImageFolderConfig, base: Path, cache: Path | None = None):
        self._root = root_folder(config.root, base)
        self._base = Path(base)
        self._size = config.size
        self._labels_upright = config.labels_upright
        self.sequential = config.film
        self.notes: list[str] = []
        self._described_by: list[Path] = []  # files beside a frame's own that its label depends on
        self.tasks = {
            "rgb": RGB,
            self.label: self._describe(config),
        }
        for name, sensor in config.modalities.items():
            if name in self.tasks:
                fix = "give the sensor another name"
                raise EdgekitError(f"'{name}' is there already", where=f"data.modalities.{name}", fix=fix)
            self.tasks[name] = sensor.task(name)
        self._files: dict[str, Files] = {}
        self._orientations: dict[str, int] = {}  # by EXIF, of the frames that were read
        listed = self._list(config)
        self._sensors = find_sensors(self._root, config.modalities, listed, self.notes)
        self._frames = self._infos(config, listed)
        self._note_size()

    def splits(self) -> tuple[str, ...]:
        return tuple(self._frames)

    def frames(self, split: str) -> list[FrameInfo]:
        """The frames of a split in natural order of their names. KeyError for an unknown split."""
        return list(self._frames[split])

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The native maps that are asked for; no label of an unlabelled frame, no modality that has no file for it.

        Raises EdgekitError naming the file: missing, damaged, a label outside the classes, a label that may or may not
        be turned as its photograph is, or (when both are asked for) image and label of different size.
        """
        files = self._files[frame.name]
        names = set(names)
        maps: dict[str, np.ndarray] = {}
        if "rgb" in names:
            maps["rgb"], self._orientations[frame.name] = read_photo(files.image)
        if self.label in names and frame.labelled:
            if files.label is None:
                raise EdgekitError(
                    "the frame counts as labelled but has no label",
                    where=str(files.image),
                    fix="add it to the labels, or leave the frame out of data.labelled "
                    "(present: only frames with a label count as labelled)",
                )
            maps[self.label] = self._label(frame.name, files)
        sizes = {name: array.shape[:2] for name, array in maps.items()}
        if len(set(sizes.values())) > 1:
            shown = " and ".join(f"{'image' if n == 'rgb' else 'label'} {w}x{h}" for n, (h, w) in sizes.items())
            raise EdgekitError(
                f"image and label differ in size: {shown} (width x height)",
                where=str(files.label),
                fix="export the label at the size of the image",
            )
        size = self._size
        if size is None and maps:
            size = bounded_size(*next(iter(maps.values())).shape[:2])
        read = {name: resized_map(self.tasks[name], array, size) for name, array in maps.items()}
        for name in names & self._sensors.keys():
            if files.image in self._sensors[name]:
                if size is None:  # that of the photograph
                    own = next((array.shape[:2] for array in read.values()), None) or stored_size(files.image)[0]
                    size = bounded_size(*own) or own
                read[name] = read_sensor(self.tasks[name], self._sensors[name][files.image], files.image, size)
        return read

    def fingerprint(self) -> str:
        """SHA-256 over every file's name, size and time of change, the class table and which frames are labelled."""
        paths = ((name, path) for name, files in sorted(self._files.items()) for path in (files.image, files.label))
        facts = _READING, self._meaning, self._frames, self._labels_upright
        tasks = tuple(self.tasks[name] for name in self._sensors)
        return hash_files(
            (*facts, tasks) if tasks else facts,
            [
                *((path.name, path) for path in self._described_by),
                *((f"{name}\0{path.name}", path) for name, path in paths if path is not None),
                *((f"{name}\0{file.name}", file) for name, of in self._sensors.items() for file in of.values()),
            ],
        )

    def flow(self, frame: FrameInfo) -> np.ndarray | None:
        """None: photographs come without exact flow."""
        return None

    def _label(self, name: str, files: Files) -> np.ndarray:
        """The label of a frame as it is trained on, at the size of its photograph. EdgekitError naming the file."""
        label = read_label(files.label, palette_colours=self._table.has_colours)
        return self._table.decode(self._upright(label, name, files), str(files.label))

    def _upright(self, label: np.ndarray, name: str, files: Files) -> np.ndarray:
        """The label, rotated like its photograph by EXIF, whether it was drawn on the rotated or the stored pixels."""
        if self._orientations.get(name) == 1:  # most formats have it in the header, PNG at the end
            return label
        stored, orientation = stored_size(files.image)
        self._orientations[name] = orientation
        # a label with an orientation of its own is upright
        if orientation == 1 or (is_photograph(files.label) and stored_size(files.label)[1] != 1):
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

    def _note_size(self) -> None:
        """A remark where the first frame is larger than a network is trained on unasked."""
        with contextlib.suppress(EdgekitError, StopIteration):  # reading it says what is wrong
            files = self._files[next(info.name for infos in self._frames.values() for info in infos)]
            (height, width), orientation = stored_size(files.image)
            if self._size is None and (size := bounded_size(height, width)):
                own, read = ((w, h) if orientation < 5 else (h, w) for h, w in ((height, width), size))
                self.notes.append(
                    f"frames of more than {UNSIZED_PIXELS:,} pixels are made smaller: {files.image.name} from "
                    "{}x{} to {}x{} (width x height); data.size says another size".format(*own, *read)
                )

    def _describe(self, config: ImageFolderConfig) -> Task:
        """The label's task. Sets what labels mean, ``_table`` and ``_meaning``, and ``_described_by``."""
        if config.class_names is not None:
            return self._classes(config, dict.fromkeys(config.class_names), "data.class_names")
        if isinstance(config.class_dict, dict):
            return self._classes(config, config.class_dict, "data.class_dict")
        path = self._find(config.class_dict or Path("class_dict.csv"))
        return self._classes(config, read_class_dict(path), str(path))

    def _classes(self, config: ImageFolderConfig, old: LabelClasses, source: str) -> Task:
        self._meaning = old
        self._table = ClassTable(old, merge=config.classes, ignore=config.ignore, colours=config.colours, source=source)
        return Task(self.label, "semantic", classes=self._table.classes, colours=self._table.colours)

    def _list(self, config: ImageFolderConfig) -> dict[str, FilesByName]:
        if config.splits is None:
            splits = default_splits(self._root, *self.layout, self.notes)
        else:
            flat = SplitFiles(images="images", labels="labels" if (self._root / "labels").is_dir() else None)
            splits = {
                split: told if isinstance(told, SplitFiles) else flat.model_copy(update={"list": told})
                for split, told in config.splits.items()
            }
        return list_splits(splits, self._pair, self._find, self.notes)

    def _pair(self, images: str, labels: str | None) -> FilesByName:
        """The frames of a place, see `SplitFiles`."""
        beside = self.label_endings
        found = find_files(self._root, images, self.notes, beside=beside)
        drawn = find_files(self._root, labels, self.notes, beside, PHOTO_SUFFIXES) if labels else {}
        return pair_files(found, drawn, images.partition("/")[0], self.notes)

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
