"""Recipe keys of a folder of images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from edgekit.data.class_names import ClassNames, FewClasses
from edgekit.data.folders import FileName, Pattern, Side
from edgekit.data.map_config import ColourLevel
from edgekit.tasks import KINDS, Task
from edgekit.tasks.modality import MOST_CHANNELS

Fraction = Annotated[float, Field(ge=0, le=1)]


def _below_the_root(pattern: str) -> str:
    if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
        raise ValueError(f"'{pattern}' must be a path below root")
    return Path(pattern).as_posix()


RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_below_the_root)]
"""A folder below ``root``, or a pattern of files."""


class SplitFiles(BaseModel):
    """Where the files of a split lie, below ``root``.

    images, labels  a folder, read with its sub-folders, or a pattern of files such as ``train/*/Images/*.png``, where
                    what the stars stand for is the frame's name (``**`` is any folders, and no part of the name)
    list            a text file with the names of the frames that belong to the split, one per line (default: all)
    """

    model_config = ConfigDict(extra="forbid")

    images: RelativePath
    labels: RelativePath | None = None
    list: Path | None = None


class SensorConfig(BaseModel):
    """Another sensor that shows the view of the photographs, such as a thermal camera; of any resolution.

    channels, range  0 to 255: 8-bit pictures, of one channel or three; else pictures of whole numbers up to 16 bits, of
                     one channel, or ``.npz`` files of one array (H, W, channels), NaN where there is no value
    files            where they lie, as ``images`` of a split, by the photographs' names; ``{split}`` stands for the
                     split's name (default: ``{split}/`` and the name of the modality)
    """

    model_config = ConfigDict(extra="forbid")

    channels: int = Field(1, ge=1, le=MOST_CHANNELS)
    range: tuple[float, float]
    files: RelativePath | None = None

    @model_validator(mode="after")
    def _is_a_modality(self) -> SensorConfig:
        KINDS["modality"].check(self.task(""))
        return self

    def task(self, name: str) -> Task:
        return Task(name, "modality", channels=self.channels, range=self.range)


class ImageFolderConfig(BaseModel):
    """Images with label images of the same name: ``images/<name>.jpg`` and ``labels/<name>.png``, in sub-folders too.

    A suffix or prefix that all labels have beyond the image's name (``<name>_mask.png``) is ignored.

    root         the folder; relative to the recipe's own folder, ``~`` is the home folder. Every other path here is
                 looked up in ``root`` first and then in the recipe's folder
    splits       none: ``root`` has folders ``train``, ``val``, ``test`` (those that exist), each with ``images`` and
                 ``labels``. Given: each split says where its files lie; or it is a text file with one frame name per
                 line, and ``root`` itself has ``images`` and ``labels``
    class_dict   the CSV file ``name, r, g, b`` of the classes (default: ``class_dict.csv``), or here name -> colour:
                 labels hold these colours, or with one channel the row numbers (the greys, if all colours are grey)
    class_names  instead of ``class_dict``: the names of the values 0, 1, … of labels of one channel
    classes      the classes to learn, in index order, each with the old names merged into it (default: as they are)
    ignore       old names whose pixels count as not labelled
    colours      colours of the new classes (default: that of the first old one)
    labelled     how much of ``train`` counts as labelled: ``all``, a fraction evenly spaced over the sorted frames, or
                 a text file of frame names; labels of the others are never read. ``present``: in every split, the
                 frames that have a label image
    scene_regex  found in a frame's name, its first group (or all of it) is the frame's scene (default: the split, and
                 the sub-folder)
    labels_upright  whether labels are drawn on the photographs as their EXIF orientation turns them (true) or as their
                 pixels are stored (false); default: as the label's size says, and an error where both sizes are one
    size         (height, width) to resize every frame to (default: as it is, and a frame of more than 307,200 pixels,
                 480x640, to so many: crops of large photographs show too little of them to learn from)
    film         the sorted frames of a scene are consecutive moments, so that temporal consistency can be measured
    modalities   name -> another sensor that shows the same view, see `SensorConfig`
    """

    model_config = ConfigDict(extra="forbid")

    root: Path
    splits: dict[FileName, SplitFiles | Path] | None = Field(None, min_length=1)
    class_dict: Path | dict[str, tuple[ColourLevel, ColourLevel, ColourLevel]] | None = None
    class_names: ClassNames | None = Field(None, min_length=1)
    classes: Annotated[dict[str, list[str]], FewClasses] | None = Field(None, min_length=1)
    ignore: list[str] = []
    colours: dict[str, tuple[ColourLevel, ColourLevel, ColourLevel]] = {}
    labelled: Fraction | Literal["all", "present"] | Path = "all"
    scene_regex: Pattern | None = None
    labels_upright: bool | None = None
    size: tuple[Side, Side] | None = None
    film: bool = False
    modalities: dict[FileName, SensorConfig] = {}

    @field_validator("labelled", mode="before")
    @classmethod
    def _is_no_percentage(cls, labelled: object) -> object:
        number = re.fullmatch(r"([0-9]+(?:[.,][0-9]+)?) *(%?)", labelled) if isinstance(labelled, str) else None
        if number:
            share = float(number[1].replace(",", ".")) / (100 if number[2] else 1)
            raise ValueError(f"a share is a number from 0 to 1: write {share:g}, without quotes")
        return labelled

    @model_validator(mode="after")
    def _one_list_of_classes(self) -> ImageFolderConfig:
        if self.class_dict is not None and self.class_names is not None:
            raise ValueError("give class_dict (colours or row numbers) or class_names (values), not both")
        return self


class FormatConfig(ImageFolderConfig):
    """The same but for the tables of classes, for sources whose files name their classes."""

    class_dict: None = None
    class_names: None = None
