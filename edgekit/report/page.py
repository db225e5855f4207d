"""One HTML page: no script, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from edgekit.report.plots import COLOURS

_PICTURE_WIDTH = 192


def page(template: str, **values: Any) -> str:
    """``templates/<template>``, which extends ``page.html``, filled in. What is not ``Markup`` is escaped."""
    loader = PackageLoader("edgekit.report", "templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template(template).render(colours=COLOURS, **values)


def picture(rgb: np.ndarray, about: str) -> Markup:
    """An ``img`` element that holds (H, W, 3) uint8 as a small JPEG. ``about``: what it shows."""
    image = Image.fromarray(rgb)
    height = max(1, round(image.height * _PICTURE_WIDTH / image.width))
    image = image.resize((_PICTURE_WIDTH, height), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    tag = '<img src="data:image/jpeg;base64,{}" width="{}" height="{}" alt="{}">'
    return Markup(tag).format(data, image.width, image.height, about)
