"""Legends: which colour means what."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from edgekit.frames.fonts import font_of
from edgekit.tasks import Task, kind_of
from edgekit.tasks.legend import Scale, Swatches

_BACKGROUND, _INK, _FAINT = (16, 18, 22, 205), (245, 245, 245, 255), (178, 182, 190, 255)


def legend(task: Task, result: np.ndarray, letters: int) -> np.ndarray:
    """A panel (h, w, 4) uint8 rgba that explains ``task``'s colours for this native map.

    ``letters`` is the font size in pixels.
    """
    said = kind_of(task).legend(task, result)
    if isinstance(said, Swatches):
        return _rows(said.rows, letters)
    return _scale(said, letters) if isinstance(said, Scale) else _sphere(task, said.title, letters)


def badge(text: str, letters: int) -> np.ndarray:
    """A line of text on a dark panel, (h, w, 4) uint8 rgba."""
    (text, font), pad = font_of(text, letters), _pad(letters)
    image, draw = _panel(round(font.getlength(text)) + 2 * pad, round(1.3 * letters) + pad, letters)
    draw.text((pad, image.height / 2), text, font=font, fill=_INK, anchor="lm")
    return np.asarray(image)


def _rows(rows: list[tuple[tuple[int, int, int], str, str]], letters: int) -> np.ndarray:
    """Rows of a swatch, a name and a number."""
    pad, line = _pad(letters), round(1.5 * letters)
    shown = [font_of(name, letters) for _, name, _ in rows]
    _, font = font_of("", letters)
    names = max((own.getlength(name) for name, own in shown), default=0)
    numbers = max((font.getlength(number) for _, _, number in rows), default=0)
    left = pad + letters + round(0.6 * letters)
    width = round(left + names + letters + numbers + pad)
    image, draw = _panel(width, line * len(rows) + pad, letters)
    for i, ((colour, _, number), (name, own)) in enumerate(zip(rows, shown, strict=True)):
        middle = pad / 2 + line * (i + 0.5)
        box = (pad, middle - letters / 2, pad + letters, middle + letters / 2)
        draw.rounded_rectangle(box, radius=letters / 4, fill=(*colour, 255), outline=(255, 255, 255, 90))
        draw.text((left, middle), name, font=own, fill=_INK, anchor="lm")
        draw.text((width - pad, middle), number, font=font, fill=_FAINT, anchor="rm")
    return np.asarray(image)


def _scale(scale: Scale, letters: int) -> np.ndarray:
    """A bar of colours, ticks below it, and marks across it."""
    (_, font), pad, length, thick = font_of("", letters), _pad(letters), 14 * letters, letters
    title, own = font_of(scale.title, letters)
    side = pad + letters  # a tick's number may reach beyond the bar's end
    width = max(length + 2 * side, round(own.getlength(title)) + 2 * pad)
    line = round(1.4 * letters)
    image, draw = _panel(width, 2 * line + thick + pad + letters // 2, letters)
    draw.text((side, pad / 2 + line / 2), title, font=own, fill=_INK, anchor="lm")
    top = round(pad / 2 + line)
    image.paste(Image.fromarray(scale.colours[None]).resize((length, thick)), (side, top))
    end = -np.inf
    for place, text in scale.ticks:
        half, x = font.getlength(text) / 2, side + place * (length - 1)
        if x - half > end + letters / 2:
            draw.line((x, top + thick, x, top + thick + letters // 4), fill=_FAINT, width=max(1, letters // 12))
            draw.text((x, top + thick + letters // 3), text, font=font, fill=_FAINT, anchor="mt")
            end = x + half
    for place in scale.marks:
        x = side + place * (length - 1)
        draw.line((x, top - letters // 5, x, top + thick), fill=_INK, width=max(2, letters // 6))
    return np.asarray(image)


@lru_cache(maxsize=8)
def _sphere(task: Task, title: str, letters: int) -> np.ndarray:
    """A ball lit by its own normals."""
    (title, font), pad, size = font_of(title, letters), _pad(letters), 5 * letters
    fine = 4 * size  # drawn larger, so that its rim is smooth
    y, x = (np.mgrid[:fine, :fine] + 0.5) / fine * 2 - 1
    inside = x**2 + y**2 <= 1
    towards = np.stack([x, y, -np.sqrt(np.maximum(1 - x**2 - y**2, 0))], axis=-1).astype(np.float32)
    colours = kind_of(task).picture(task, towards)
    ball = Image.fromarray(np.concatenate([colours, inside[..., None].astype(np.uint8) * 255], axis=-1))
    ball = ball.resize((size, size), Image.Resampling.LANCZOS)
    line = round(1.4 * letters)
    width = max(size, round(font.getlength(title))) + 2 * pad
    image, draw = _panel(width, line + size + pad + pad // 2, letters)
    draw.text((width / 2, pad / 2 + line / 2), title, font=font, fill=_INK, anchor="mm")
    image.paste(ball, ((width - size) // 2, round(pad / 2 + line)), ball)
    return np.asarray(image)


def _panel(width: int, height: int, letters: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", (int(width), int(height)), (16, 18, 22, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=letters / 2, fill=_BACKGROUND)
    return image, draw


def _pad(letters: int) -> int:
    return round(0.7 * letters)
