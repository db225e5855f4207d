"""What explains the colours of a picture, as data: ``edgekit.runtime.legend`` draws it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Swatches:
    """A colour, a name and a number to a row."""

    rows: list[tuple[Colour, str, str]]


@dataclass(frozen=True)
class Scale:
    """A bar of colours from the least to the most value.

    title    what stands above it
    colours  (n, 3) uint8 from left to right
    ticks    (place 0-1, text) from left to right
    marks    places 0-1 of what this map spans
    """

    title: str
    colours: np.ndarray
    ticks: list[tuple[float, str]]
    marks: list[float]


@dataclass(frozen=True)
class Sphere:
    """A ball of unit vectors in the colours of the kind's own picture."""

    title: str


Legend = Swatches | Scale | Sphere


def percent(share: float) -> str:
    """A share in 0-1 as text."""
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}"


def round_numbers(least: float, most: float, *, logarithmic: bool) -> list[float]:
    """Values for the ticks of a scale."""
    if not logarithmic:
        return [least + (most - least) * i / 4 for i in range(5)]
    decades = range(int(np.floor(np.log10(least))), int(np.ceil(np.log10(most))) + 1)
    inside = [d * 10.0**e for e in decades for d in (1, 2, 5) if least <= d * 10.0**e <= most]
    return inside or [least, most]
