"""The source behind ``depth_folder``: photographs with depth as 16-bit PNGs, as KITTI and NYU have them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from edgekit.data.image_folder.config import FormatConfig
from edgekit.data.image_folder.listing import Files
from edgekit.data.image_folder.source import ImageFolder
from edgekit.errors import EdgekitError
from edgekit.frames.images import read_values
from edgekit.tasks import Task

Metres = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DepthFolderConfig(FormatConfig):
    """Images with depth PNGs of the same name.

    splits  default: ``root`` has folders ``train``, ``val``, ``test`` (those that exist), each with ``images`` and
            ``depth``; a split's ``labels`` are its depth PNGs
    scale   what is stored for one metre: 256 in KITTI, 1000 for millimetres. 0 is stored where the depth is unknown
    range   (least, most) depth in metres that is told apart
    """

    classes: None = None
    ignore: None = None
    colours: None = None
    scale: Metres
    range: tuple[Metres, Metres]

    @model_validator(mode="after")
    def _is_a_range(self) -> DepthFolderConfig:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must be (least, most) in metres with least < most, got {self.range}")
        return self


class DepthFolder(ImageFolder):
    """Frames of a `DepthFolderConfig`: ``rgb`` (H, W, 3) uint8 and ``depth`` (H, W) float32 metres, NaN = none."""

    label = "depth"
    label_endings = (".png",)
    layout = ("{}/images", "{}/depth")

    def _describe(self, config: DepthFolderConfig) -> Task:
        self._scale = config.scale
        self._meaning = (config.scale, config.range)
        return Task("depth", "depth", range=config.range, unit="m")

    def _label(self, name: str, files: Files) -> np.ndarray:
        stored = self._upright(read_values(files.label), name, files)
        if stored.dtype == np.uint8:
            raise EdgekitError(
                "the depth PNG has 8 bits a pixel, where depth is stored in 16",
                where=str(files.label),
                fix="take the PNGs of depth and not their pictures",
            )
        metres = stored.astype(np.float32) / np.float32(self._scale)
        metres[stored == 0] = np.nan
        return metres
