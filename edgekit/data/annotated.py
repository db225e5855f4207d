"""The source behind ``annotated``: the frames of one source, with labels that another has of frames of their names.

So what annotators drew for some frames goes with the maps that `edgekit data extract` made of all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, create_model

from edgekit.data.folders import natural, resized_map
from edgekit.data.image_folder.config import ImageFolderConfig, SplitFiles
from edgekit.data.image_folder.listing import SPLIT_FOLDERS
from edgekit.data.registry import SOURCES, SourceEntry
from edgekit.data.source import FrameInfo, Source
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.part_schema import chosen_by
from edgekit.parts import Parts

_OTHERS = Parts(
    SOURCES.group,
    "data source",
    {name: SOURCES[name] for name in SOURCES.own() if name != "annotated"},
    base=SourceEntry,
)


@cache
def _section(source: str) -> type[BaseModel]:
    return create_model(f"{source}_part", __base__=_OTHERS[source].config, source=(Literal[source], ...))


_Part = Annotated[BaseModel, chosen_by("source", _OTHERS, _section)]


class AnnotatedConfig(BaseModel):
    """Two sources, each with ``source`` and its own keys.

    frames  all frames, with their splits and maps
    labels  labels of some of them, by the frames' names, in splits of any name. Where its section is silent, it is all
            of its ``root``, and a frame without a file of labels has none (``labelled: present``)
    """

    model_config = ConfigDict(extra="forbid")

    frames: _Part
    labels: _Part


class AnnotatedFrames:
    """Frames of an `AnnotatedConfig`: those of ``frames``, and one that ``labels`` has a label of counts as labelled.

    EdgekitError where both have a map of one name, and where no label is one of a frame.
    """

    def __init__(self, config: AnnotatedConfig, base: Path, cache: Path | None = None):
        self._base, self._cache = base, cache
        self._frames = self._open("frames", config.frames)
        self._config = _whole_root(config.labels, base)
        self._labels = self._open("labels", self._config)
        self._own = {name: task for name, task in self._labels.tasks.items() if name != "rgb"}
        for name in self._own.keys() & self._frames.tasks.keys():
            fix = "call that map another name where it is made, or leave it out"
            raise EdgekitError(f"the frames have a map '{name}' already", where="data.labels", fix=fix)
        self.tasks = {**self._frames.tasks, **self._own}
        self.notes = [*getattr(self._frames, "notes", ()), *getattr(self._labels, "notes", ())]
        self._label_of = self._matched()
        self._at_size: dict[tuple[int, int], Source] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frames, name)  # splits, flow, sequential, and what only some sources have

    def frames(self, split: str) -> list[FrameInfo]:
        """The frames of a split. KeyError for an unknown split."""
        return [self._with_label(frame) for frame in self._frames.frames(split)]

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Native maps; a map that the frame lacks is left out. Thread-safe.

        EdgekitError of either source, and for a label of another shape than the frame.
        """
        names = set(names)
        maps = self._frames.read(frame, names - self._own.keys())
        wanted, label = names & self._own.keys(), self._label_of.get(frame.name)
        if wanted and label:
            shown = next(iter(maps.values())) if maps else self._frames.read(frame, ["rgb"])["rgb"]
            maps |= self._fitting(label, wanted, shown.shape[:2])
        return maps

    def fingerprint(self) -> str:
        """SHA-256 of what both sources say of themselves."""
        return hashlib.sha256(f"{self._frames.fingerprint()} {self._labels.fingerprint()}".encode()).hexdigest()

    def _with_label(self, frame: FrameInfo) -> FrameInfo:
        return replace(frame, labelled=True) if frame.name in self._label_of else frame

    def _matched(self) -> dict[str, FrameInfo]:
        """Label by the name of its frame. A remark on labels of other frames."""
        labelled = [frame for split in self._labels.splits() for frame in self._labels.frames(split) if frame.labelled]
        known = {frame.name for split in self._frames.splits() for frame in self._frames.frames(split)}
        found = {frame.name: frame for frame in labelled if frame.name in known}
        if not found:
            first = f"the first label is of '{labelled[0].name}'" if labelled else "there are none"
            frame = f"the first frame is '{min(known, key=natural)}'" if known else "there are no frames"
            what = f"no label is one of the frames: {first}, {frame}"
            raise EdgekitError(what, where="data.labels", fix="labels belong to frames by their files' names")
        if left := [frame.name for frame in labelled if frame.name not in known]:
            self.notes.append(f"{len(left)} of {len(labelled)} labels are of no frame, the first is {left[0]}")
        return found

    def _fitting(self, label: FrameInfo, names: set[str], size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Maps of a label at the size of its frame."""
        maps = self._labels.read(label, names)
        height, width = size
        for h, w in {array.shape[:2] for array in maps.values()}:
            if min(abs(w - h * width / height), abs(h - w * height / width)) > 1:  # sides are whole pixels
                ratios = f"{w / h:.4g}, of its frame {width / height:.4g}"
                what = f"width / height of the label of '{label.name}' is {ratios}"
                raise EdgekitError(what, where="data.labels", fix="draw labels on whole frames")
            if h < height and getattr(self._config, "size", size) is None:  # its source made it smaller
                maps = self._of_size(size).read(label, names)
        return {name: resized_map(self._own[name], array, size) for name, array in maps.items()}

    def _of_size(self, size: tuple[int, int]) -> Source:
        if size not in self._at_size:
            self._at_size[size] = self._open("labels", self._config.model_copy(update={"size": size}))
        return self._at_size[size]

    def _open(self, part: str, config: BaseModel) -> Source:
        try:
            return SOURCES[config.source].build(config, self._base, self._cache)
        except EdgekitError as error:
            where = re.sub(r"^data\b", f"data.{part}", error.where or f"data.{part}")
            raise EdgekitError(error.what, where=where, fix=error.fix) from error


def _whole_root(config: BaseModel, base: Path) -> BaseModel:
    """The section of the labels, for a folder that nobody has divided, and of which only a part is drawn."""
    if not isinstance(config, ImageFolderConfig):
        return config
    update = {} if "labelled" in config.model_fields_set else {"labelled": "present"}
    layout = getattr(SOURCES[config.source].build, "layout", ())
    folder = Path(base, expand_home(config.root))
    undivided = not any((folder / split).is_dir() for split in SPLIT_FOLDERS)
    if config.splits is None and undivided and layout and all(place.startswith("{}") for place in layout):
        images, labels = (Path(place.format(".")).as_posix() for place in layout)
        update["splits"] = {"labels": SplitFiles(images=images, labels=labels)}
    return config.model_copy(update=update)


ANNOTATED = SourceEntry(AnnotatedConfig, AnnotatedFrames)
