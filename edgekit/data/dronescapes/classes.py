"""The eight classes of Dronescapes, their colours, and their weights in the class-weighted mIoU."""

from __future__ import annotations

CLASSES = ("land", "forest", "residential", "road", "little-objects", "water", "sky", "hill")
COLOURS = (
    (0, 255, 0), (0, 127, 0), (255, 255, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (0, 255, 255),
    (127, 127, 63),
)  # fmt: skip
WEIGHTS = (0.28172092, 0.30589653, 0.13341699, 0.05937348, 0.00474491, 0.05987466, 0.08660721, 0.06836531)
