"""Legends: which colour means what."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgekit.tasks import Task, kind_of

_BACKGROUND, _INK, _FAINT = (16, 18, 22, 205), (245, 245, 245, 255), (178, 182, 190, 255)
_IGNORE = 255
_LEAST_SHARE = 0.0005  # of the pixels; a class with fewer is not listed


def legend(task: Task, result: np.ndarray, letters: int) -> np.ndarray:
    """A panel (h, w, 4) uint8 rgba that explains ``task``'s colours; ``letters`` is the font size in pixels.

    semantic: the classes of this map by area, with their share; binary: the share; depth: a bar with distances, and the
    span of this map; normals: where a direction's colour lies on a sphere.
    """
    if task.kind == "semantic":
        return _classes(task, result, letters)
    if task.kind == "depth":
        return _distances(task, result, letters)
    if task.kind == "normals":
        return _sphere(task, letters)
    return _rows([((255, 255, 255), task.name, _percent(float((result == 1).mean())))], letters)


def badge(text: str, letters: int) -> np.ndarray:
    """A line of text on a dark panel, (h, w, 4) uint8 rgba."""
    font, pad = _font(letters), _pad(letters)
    image, draw = _panel(round(font.getlength(text)) + 2 * pad, round(1.3 * letters) + pad, letters)
    draw.text((pad, image.height / 2), text, font=font, fill=_INK, anchor="lm")
    return np.asarray(image)


def _classes(task: Task, result: np.ndarray, letters: int) -> np.ndarray:
    counts = np.bincount(result.ravel(), minlength=256)
    indices = np.arange(len(task.classes), dtype=np.uint8)
    colours = kind_of(task).picture(task, indices[None])[0]
    listed = [i for i in np.argsort(-counts[indices], kind="stable") if counts[i] >= max(1, _LEAST_SHARE * result.size)]
    rows = [(tuple(colours[i].tolist()), task.classes[i], _percent(counts[i] / result.size)) for i in listed]
    if counts[_IGNORE] and len(task.classes) <= _IGNORE:
        rows.append(((0, 0, 0), "no answer", _percent(counts[_IGNORE] / result.size)))
    return _rows(rows, letters)


def _rows(rows: list[tuple[tuple[int, int, int], str, str]], letters: int) -> np.ndarray:
    """A swatch, a name and a number to a row."""
    font, pad, line = _font(letters), _pad(letters), round(1.5 * letters)
    names = max((font.getlength(name) for _, name, _ in rows), default=0)
    numbers = max((font.getlength(number) for _, _, number in rows), default=0)
    left = pad + letters + round(0.6 * letters)
    width = round(left + names + letters + numbers + pad)
    image, draw = _panel(width, line * len(rows) + pad, letters)
    for i, (colour, name, number) in enumerate(rows):
        middle = pad / 2 + line * (i + 0.5)
        box = (pad, middle - letters / 2, pad + letters, middle + letters / 2)
        draw.rounded_rectangle(box, radius=letters / 4, fill=(*colour, 255), outline=(255, 255, 255, 90))
        draw.text((left, middle), name, font=font, fill=_INK, anchor="lm")
        draw.text((width - pad, middle), number, font=font, fill=_FAINT, anchor="rm")
    return np.asarray(image)


def _distances(task: Task, result: np.ndarray, letters: int) -> np.ndarray:
    """A bar from the nearest to the farthest distance, ticks at round numbers, and marks around what this map spans."""
    font, pad, length, thick = _font(letters), _pad(letters), 14 * letters, letters
    least, most = task.range
    shares = np.linspace(0, 1, length, dtype=np.float32)
    bar = kind_of(task).picture(task, kind_of(task).decode(task, shares[None, None]))
    seen = result[np.isfinite(result)]
    unit = f" {task.unit}" if task.unit else ""
    title = f"{task.name}" if not seen.size else f"{task.name}  {seen.min():.3g} to {seen.max():.3g}{unit}"
    side = pad + letters  # a tick's number may reach beyond the bar's end
    width = max(length + 2 * side, round(font.getlength(title)) + 2 * pad)
    line = round(1.4 * letters)
    image, draw = _panel(width, 2 * line + thick + pad + letters // 2, letters)
    draw.text((side, pad / 2 + line / 2), title, font=font, fill=_INK, anchor="lm")
    top = round(pad / 2 + line)
    image.paste(Image.fromarray(bar.repeat(thick, axis=0)), (side, top))

    def at(value: float) -> float:
        return side + float(kind_of(task).encode(task, np.full((1, 1), value, np.float32))[0, 0, 0]) * (length - 1)

    end = -np.inf
    for value in _round_numbers(least, most, logarithmic=bool(task.unit)):
        text = f"{value:g}"
        half = font.getlength(text) / 2
        x = at(value)
        if x - half > end + letters / 2:
            draw.line((x, top + thick, x, top + thick + letters // 4), fill=_FAINT, width=max(1, letters // 12))
            draw.text((x, top + thick + letters // 3), text, font=font, fill=_FAINT, anchor="mt")
            end = x + half
    if seen.size:
        for value in (seen.min(), seen.max()):
            x = at(float(value))
            draw.line((x, top - letters // 5, x, top + thick), fill=_INK, width=max(2, letters // 6))
    return np.asarray(image)


def _round_numbers(least: float, most: float, *, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return [least + (most - least) * i / 4 for i in range(5)]
    decades = range(int(np.floor(np.log10(least))), int(np.ceil(np.log10(most))) + 1)
    inside = [d * 10.0**e for e in decades for d in (1, 2, 5) if least <= d * 10.0**e <= most]
    return inside or [least, most]


def _sphere(task: Task, letters: int) -> np.ndarray:
    """A ball lit by its own normals: a surface has the colour of the ball's side that faces the same way."""
    return _drawn_sphere(task, letters)


@lru_cache(maxsize=8)
def _drawn_sphere(task: Task, letters: int) -> np.ndarray:
    font, pad, size = _font(letters), _pad(letters), 5 * letters
    fine = 4 * size  # drawn larger, so that its rim is smooth
    y, x = (np.mgrid[:fine, :fine] + 0.5) / fine * 2 - 1
    inside = x**2 + y**2 <= 1
    towards = np.stack([x, y, -np.sqrt(np.maximum(1 - x**2 - y**2, 0))], axis=-1).astype(np.float32)
    colours = kind_of(task).picture(task, towards)
    ball = Image.fromarray(np.concatenate([colours, inside[..., None].astype(np.uint8) * 255], axis=-1))
    ball = ball.resize((size, size), Image.Resampling.LANCZOS)
    line = round(1.4 * letters)
    width = max(size, round(font.getlength(task.name))) + 2 * pad
    image, draw = _panel(width, line + size + pad + pad // 2, letters)
    draw.text((width / 2, pad / 2 + line / 2), task.name, font=font, fill=_INK, anchor="mm")
    image.paste(ball, ((width - size) // 2, round(pad / 2 + line)), ball)
    return np.asarray(image)


def _panel(width: int, height: int, letters: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", (int(width), int(height)), (16, 18, 22, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=letters / 2, fill=_BACKGROUND)
    return image, draw


def _pad(letters: int) -> int:
    return round(0.7 * letters)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}"


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
