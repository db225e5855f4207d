"""Plots as SVG text, coloured by the page's style sheet alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 860
_CHARACTER = 7.3  # about how wide one is
COLOURS = 8  # classes c0 … c7 of the style sheet


@dataclass(frozen=True)
class Point:
    """``colour`` counts the series, ``shape`` 0 circle, 1 square, 2 triangle; ``label`` "" shows none."""

    x: float
    y: float
    label: str
    hint: str
    colour: int = 0
    shape: int = 0


@dataclass(frozen=True)
class Bar:
    """``value`` as a bar, ``upper`` as a whisker beyond it or None; bars of one ``group`` stand below its name."""

    label: str
    value: float
    hint: str
    colour: int = 0
    upper: float | None = None
    group: str = ""


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from at or below ``low`` to at or above ``high``."""
    span = high - low or abs(high) or 1.0
    raw = span / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def scatter(points: Sequence[Point], line: Sequence[tuple[float, float]], x_name: str, y_name: str) -> str:
    """Points, and a line through some of them. ``line``: (x, y) from left to right."""
    left, right, top, bottom, height = 64, 110, 16, 52, 420
    low, high = min(p.y for p in points), max(p.y for p in points)
    margin = 0.06 * (high - low)  # no point lies on the frame
    xs, ys = ticks(0.0, max(p.x for p in points)), ticks(low - margin, high + margin)
    x_at = _scale(xs, left, WIDTH - right)
    y_at = _scale(ys, height - bottom, top)
    parts = [_open(height, f"{y_name} over {x_name}")]
    for x in xs:
        parts.append(_line(x_at(x), top, x_at(x), height - bottom, "grid"))
        parts.append(_text(x_at(x), height - bottom + 20, _number(x, xs), "tick", "middle"))
    for y in ys:
        parts.append(_line(left, y_at(y), WIDTH - right, y_at(y), "grid"))
        parts.append(_text(left - 10, y_at(y) + 4, _number(y, ys), "tick", "end"))
    parts.append(_text((left + WIDTH - right) / 2, height - 8, x_name, "axis", "middle"))
    turned = f"translate(16 {(top + height - bottom) / 2:.1f}) rotate(-90)"
    parts.append(f'<text class="axis" text-anchor="middle" transform="{turned}">{escape(y_name)}</text>')
    if len(line) > 1:
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="frontier" points="{path}"/>')
    area = (left, top, WIDTH, height - bottom)
    places = _label_places([(x_at(p.x), y_at(p.y), p.label) for p in points], area)
    for point, place in zip(points, places, strict=True):
        parts.append(f"<g><title>{escape(point.hint)}</title>{_marker(x_at(point.x), y_at(point.y), point)}")
        if place:
            parts.append(_text(place[0], place[1], point.label, "label", place[2]))
        parts.append("</g>")
    return "".join(parts) + "</svg>"


def bars(rows: Sequence[Bar], x_name: str, number: str = "{:.2f}") -> str:
    """Horizontal bars with their values."""
    pitch, thick, head, right, top, bottom = 30, 16, 34, 90, 8, 44
    left = min(330.0, 24 + _CHARACTER * max(len(r.label) for r in rows))
    at, y, last = [], float(top), ""
    for row in rows:
        y += head if row.group != last else 0
        last = row.group
        at.append(y + pitch / 2)
        y += pitch
    height = y + bottom
    xs = ticks(0.0, max(max(r.value, r.upper or 0.0) for r in rows))
    x_at = _scale(xs, left, WIDTH - right)
    parts = [_open(height, x_name)]
    for x in xs:
        parts.append(_line(x_at(x), top, x_at(x), height - bottom, "grid"))
        parts.append(_text(x_at(x), height - bottom + 20, _number(x, xs), "tick", "middle"))
    parts.append(_text((left + WIDTH - right) / 2, height - 6, x_name, "axis", "middle"))
    last = ""
    for row, y in zip(rows, at, strict=True):
        if row.group != last:
            last = row.group
            parts.append(_text(0, y - pitch / 2 - 8, row.group, "group", "start"))
        end = x_at(row.value)
        parts.append(f"<g><title>{escape(row.hint)}</title>")
        parts.append(_text(left - 12, y + 4, row.label, "label", "end"))
        parts.append(
            f'<rect class="bar c{row.colour % COLOURS}" x="{left:.1f}" y="{y - thick / 2:.1f}" rx="3" '
            f'width="{max(end - left, 1.5):.1f}" height="{thick}"/>'
        )
        if row.upper is not None and row.upper > row.value:
            reach = x_at(row.upper)
            parts.append(_line(end, y, reach, y, "whisker") + _line(reach, y - 5, reach, y + 5, "whisker"))
            end = reach
        parts.append(_text(end + 8, y + 4, number.format(row.value), "value", "start") + "</g>")
    return "".join(parts) + "</svg>"


def _scale(at: Sequence[float], first: float, last: float):
    low, high = at[0], at[-1]
    return lambda value: first + (value - low) / (high - low) * (last - first)


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _label_places(points: Sequence[tuple[float, float, str]], area: Box) -> list[tuple[float, float, str] | None]:
    """Per label (x, y, anchor) beside its point where it covers no marker and no other label; None where no place is.

    Tried are right, left, above, below, then the same farther away.
    """
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y, _ in points]
    places: list[tuple[float, float, str] | None] = [None] * len(points)
    for i, (x, y, label) in enumerate(points):
        width = _CHARACTER * len(label)
        for far in (0, 14, 28):
            tries = [
                (x + 11, y + 4, "start", x + 9),
                (x - 11, y + 4, "end", x - 11 - width),
                (x, y - 12 - far, "middle", x - width / 2),
                (x, y + 22 + far, "middle", x - width / 2),
                (x + 9, y - 10 - far, "start", x + 9),
                (x + 9, y + 18 + far, "start", x + 9),
            ]
            for at, base, anchor, left in tries:
                box = (left, base - 12, left + width, base + 4)
                inside = box[0] >= area[0] and box[1] >= area[1] and box[2] <= area[2] and box[3] <= area[3]
                if label and inside and not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    places[i] = (at, base, anchor)
                    break
            if places[i]:
                break
    return places


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _marker(x: float, y: float, point: Point) -> str:
    name = f'class="mark c{point.colour % COLOURS}"'
    if point.shape % 3 == 1:
        return f'<rect {name} x="{x - 5.5:.1f}" y="{y - 5.5:.1f}" width="11" height="11" rx="1.5"/>'
    if point.shape % 3 == 2:
        return f'<path {name} d="M{x:.1f} {y - 7:.1f}l6.5 11.5h-13z"/>'
    return f'<circle {name} cx="{x:.1f}" cy="{y:.1f}" r="6"/>'


def marker_key(colour: int, shape: int) -> str:
    """A marker by itself, for a legend."""
    point = Point(0, 0, "", "", colour, shape)
    return (
        f'<svg class="key" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{_marker(8, 8, point)}</svg>'
    )


def _open(height: float, name: str) -> str:
    return f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name, quote=True)}">'


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, name: str, anchor: str) -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float, among: Sequence[float]) -> str:
    """A tick's number with as many digits as the steps need."""
    step = among[1] - among[0]
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
