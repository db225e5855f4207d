"""The source behind ``cityscapes``: ``leftImg8bit`` and ``gtFine``, as they are downloaded."""

from __future__ import annotations

from edgekit.data.image_folder.config import FormatConfig
from edgekit.data.image_folder.source import ImageFolder
from edgekit.tasks import Task

# The names of the values 0, 1, … and the colours of the 19 that are evaluated: cityscapesscripts/helpers/labels.py.
_VALUES = """
unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk, parking,
rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup, traffic light, traffic sign,
vegetation, terrain, sky, person, rider, car, truck, bus, caravan, trailer, train, motorcycle, bicycle
"""
_EVALUATED = """
road #804080, sidewalk #f423e8, building #464646, wall #66669c, fence #be9999, pole #999999,
traffic light #faaa1e, traffic sign #dcdc00, vegetation #6b8e23, terrain #98fb98, sky #4682b4, person #dc143c,
rider #ff0000, car #00008e, truck #000046, bus #003c64, train #005064, motorcycle #0000e6, bicycle #770b20
"""
VALUES = [name.strip() for name in _VALUES.split(",")]
EVALUATED = {
    name.strip(): tuple(bytes.fromhex(colour)) for name, colour in (row.split("#") for row in _EVALUATED.split(","))
}


class CityscapesConfig(FormatConfig):
    """Cityscapes with fine labels, https://www.cityscapes-dataset.com.

    root     holds ``leftImg8bit`` and ``gtFine``; of the latter ``*_gtFine_labelIds.png`` is read
    classes  default: the 19 classes that are evaluated, the others are ignored
    """


class Cityscapes(ImageFolder):
    """Frames of a `CityscapesConfig`: ``rgb`` and ``semantic``, as `ImageFolder`'s; the scene is the city.

    The labels of ``test`` are kept by the benchmark: what lies in their place is ignored everywhere.
    """

    layout = ("leftImg8bit/{}/*/*_leftImg8bit.png", "gtFine/{}/*/*_gtFine_labelIds.png")

    def _describe(self, config: CityscapesConfig) -> Task:
        colours = config.colours
        if config.classes is None:
            classes = {name: [name] for name in EVALUATED if name not in config.ignore}
            ignore = [*config.ignore, *(name for name in VALUES if name not in (*EVALUATED, *config.ignore))]
            colours = {name: EVALUATED[name] for name in classes} | colours
            config = config.model_copy(update={"classes": classes, "ignore": ignore, "colours": colours})
        return self._classes(config, dict.fromkeys(VALUES), "Cityscapes")
