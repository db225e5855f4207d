"""Where a frame's pixels lie in the network's input, and where they are found again in its maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgekit.bundle.manifest import Preprocessing


@dataclass(frozen=True)
class FramePlacement:
    """A frame of the size ``frame`` fills the top left ``content`` of the network's input ``network``, all (H, W).

    Pixel centres are half-integers, as in torch's ``align_corners=False`` and in Pillow: what is at row y of the frame
    is at (y + ½) · content / frame − ½ of the input, and a map of stride s shows it at (that + ½) / s − ½.
    """

    frame: tuple[int, int]
    content: tuple[int, int]
    network: tuple[int, int]

    @classmethod
    def of(cls, preprocessing: Preprocessing, frame: tuple[int, int], network: tuple[int, int]) -> FramePlacement:
        """How ``preprocessing`` puts a frame into an input of the size ``network``; one of that size as it is."""
        if preprocessing.fit == "stretch" or frame == network:
            return cls(frame, network, network)
        room = preprocessing.content if preprocessing.content and network == preprocessing.size else network
        factor = min(room[0] / frame[0], room[1] / frame[1], 1.0)
        height, width = (min(most, max(1, round(side * factor))) for side, most in zip(frame, room, strict=True))
        return cls(frame, (height, width), network)

    @property
    def resized(self) -> bool:
        return self.content != self.frame

    @property
    def padded(self) -> bool:
        return self.content != self.network

    def back_nearest(self, array: np.ndarray, stride: int) -> np.ndarray:
        """A map (h, w, …) of the network's input, one pixel per ``stride`` input pixels, as (H, W, …) of the frame.

        Each pixel of the frame gets the value of the map's pixel that it lies in. A view where nothing moves.
        """
        if stride == 1 and not self.resized:
            return array[: self.frame[0], : self.frame[1]]
        # Exact, in integers.
        rows, columns = (
            (2 * np.arange(frame) + 1) * content // (2 * frame * stride)
            for frame, content in zip(self.frame, self.content, strict=True)
        )
        # columns first, while there are few rows; after that a row is one copy
        return array.take(columns, axis=1).take(rows, axis=0)

    def back_linear(self, array: np.ndarray, stride: int) -> np.ndarray:
        """The same for a map (h, w) float32, by bilinear interpolation (antialiased where it shrinks).

        Padding does not bleed in: beyond its content a map is continued by its last row and column.
        """
        if stride == 1 and not self.resized:
            return array[: self.frame[0], : self.frame[1]]
        height, width = (side / stride for side in self.content)
        # The map's last pixel may cover content and padding; the box ends where the content does.
        array = array[: int(np.ceil(height)), : int(np.ceil(width))]
        image = Image.fromarray(np.ascontiguousarray(array))
        size, box = (self.frame[1], self.frame[0]), (0, 0, width, height)
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
