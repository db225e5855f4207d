"""A labelled grid of pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from edgekit.frames.fonts import font_of

_GAP = 4  # pixels between pictures, and around the grid
_INK = (30, 30, 30)
_LEAST_FONT, _MOST_FONT = 9, 28


def grid(rows: list[list[np.ndarray]], row_titles: list[str], column_titles: list[str], scale: float = 1) -> np.ndarray:
    """Pictures in rows and columns under titles, on white: (H, W, 3) uint8.

    rows           pictures (h, w, 3) uint8 of any size; each keeps its own, centred in its column's width and row's
                   height. A row may be shorter than the others.
    row_titles     one per row, written along the left side, or empty for none
    column_titles  one per column, written on top, or empty for none
    scale          factor on the pictures, by nearest neighbour, so that label maps keep their colours

    Font size follows the pictures' height; a title too long for its picture gets a smaller font, then an ellipsis.
    ValueError when the number of titles does not fit.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a grid needs at least one picture")
    if row_titles and len(row_titles) != len(rows):
        raise ValueError(f"{len(row_titles)} row titles for {len(rows)} rows")
    if column_titles and len(column_titles) != columns:
        raise ValueError(f"{len(column_titles)} column titles for {columns} columns")

    pictures = [[_scaled(picture, scale) for picture in row] for row in rows]
    widths = [max(row[c].width for row in pictures if c < len(row)) for c in range(columns)]
    heights = [max((picture.height for picture in row), default=0) for row in pictures]
    font_size = int(np.clip(max(heights) * 0.11, _LEAST_FONT, _MOST_FONT))
    band = round(font_size * 1.6)  # a line of title with air around it

    left = _GAP + (band if row_titles else 0)
    top = _GAP + (band if column_titles else 0)
    xs = [left + sum(widths[:c]) + c * _GAP for c in range(columns)]
    ys = [top + sum(heights[:r]) + r * _GAP for r in range(len(rows))]
    canvas = Image.new("RGB", (xs[-1] + widths[-1] + _GAP, ys[-1] + heights[-1] + _GAP), "white")

    for y, height, row in zip(ys, heights, pictures, strict=True):
        for x, width, picture in zip(xs, widths, row, strict=False):
            canvas.paste(picture, (x + (width - picture.width) // 2, y + (height - picture.height) // 2))
    for x, width, title in zip(xs, widths, column_titles, strict=False):
        canvas.paste(_title(title, width, band, font_size), (x, _GAP // 2))
    for y, height, title in zip(ys, heights, row_titles, strict=False):
        canvas.paste(_title(title, height, band, font_size).rotate(90, expand=True), (_GAP // 2, y))
    return np.asarray(canvas).copy()


def _scaled(picture: np.ndarray, scale: float) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST)


def _title(text: str, width: int, height: int, font_size: int) -> Image.Image:
    """One centred line of text in a white strip of the given size."""
    strip = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    least = max(_LEAST_FONT, round(0.7 * font_size))  # smaller would look out of place beside its neighbours
    text, font = font_of(text, font_size)
    while draw.textlength(text, font) > width and font_size > least:
        font_size -= 1
        text, font = font_of(text, font_size)
    if draw.textlength(text, font) > width:
        while text and draw.textlength(text + "…", font) > width:
            text = text[:-1]
        text += "…"
    draw.text((width / 2, height / 2), text, fill=_INK, font=font, anchor="mm")
    return strip
