"""Data sources by the name they have in a recipe: one line here for a new one.

Another package offers a SourceEntry as an entry point of the group ``edgekit.sources``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from edgekit.data.dronescapes import Dronescapes, DronescapesConfig
from edgekit.data.formats.cityscapes import Cityscapes, CityscapesConfig
from edgekit.data.formats.coco import Coco, CocoConfig
from edgekit.data.formats.cvat import Cvat, CvatConfig
from edgekit.data.formats.depth_folder import DepthFolder, DepthFolderConfig
from edgekit.data.formats.labelme import Labelme, LabelmeConfig
from edgekit.data.formats.yolo import Yolo, YoloConfig
from edgekit.data.image_folder import ImageFolder, ImageFolderConfig
from edgekit.data.scenes import Scenes, ScenesConfig
from edgekit.data.source import Source
from edgekit.parts import Parts


@dataclass(frozen=True)
class SourceEntry:
    """``config``: the recipe's keys; ``build(config, base, cache)``: the source, ``base`` the recipe's folder."""

    config: type[BaseModel]
    build: Callable[..., Source]


SOURCES: Parts[SourceEntry] = Parts(
    "edgekit.sources",
    "data source",
    {
        "scenes": SourceEntry(ScenesConfig, Scenes),
        "image_folder": SourceEntry(ImageFolderConfig, ImageFolder),
        "dronescapes": SourceEntry(DronescapesConfig, Dronescapes),
        "coco": SourceEntry(CocoConfig, Coco),
        "yolo": SourceEntry(YoloConfig, Yolo),
        "labelme": SourceEntry(LabelmeConfig, Labelme),
        "cvat": SourceEntry(CvatConfig, Cvat),
        "cityscapes": SourceEntry(CityscapesConfig, Cityscapes),
        "depth_folder": SourceEntry(DepthFolderConfig, DepthFolder),
        "annotated": "edgekit.data.annotated:ANNOTATED",  # by address: it needs this table
    },
    base=SourceEntry,
)
