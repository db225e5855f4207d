"""Season and climate of a scene: its colours and how much of each thing it has."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

ROOFS = np.array([
    (148, 74, 56), (132, 62, 48), (165, 98, 74), (106, 103, 102), (86, 84, 88), (128, 122, 116), (112, 86, 66),
    (150, 146, 142),
])  # fmt: skip
WALLS = np.array([(216, 208, 192), (196, 182, 156), (222, 220, 214), (178, 150, 120), (168, 164, 158), (150, 110, 90)])


@dataclass(frozen=True)
class Biome:
    """Colours are sRGB 0-255; shares and heights are numbers; every field blends linearly with another biome's."""

    grass: tuple[float, ...]
    pasture: tuple[float, ...]
    crop: tuple[float, ...]
    ripe: tuple[float, ...]
    soil: tuple[float, ...]
    leaf: tuple[float, ...]
    leaf_other: tuple[float, ...]
    needle: tuple[float, ...]
    rock: tuple[float, ...]
    asphalt: tuple[float, ...]
    dirt: tuple[float, ...]
    water: tuple[float, ...]
    shallow: tuple[float, ...]
    zenith: tuple[float, ...]
    haze: tuple[float, ...]
    needles: float  # share of conifers
    forest: float  # share of the ground under forest
    hills: float  # share of the ground that is hill
    relief: float  # height of the hills, m
    lake: float  # share of the ground under lakes
    visibility: float  # distance after which 63% of the light is haze, m


BIOMES = (
    # temperate summer
    Biome(
        (92, 118, 58), (122, 134, 76), (106, 132, 62), (178, 162, 96), (130, 106, 80), (58, 84, 40), (72, 94, 46),
        (44, 66, 44), (126, 122, 104), (112, 112, 114), (158, 142, 116), (44, 66, 70), (92, 104, 86), (92, 140, 204),
        (196, 208, 220), 0.25, 0.34, 0.22, 70, 0.05, 1350),
    # dry Mediterranean summer
    Biome(
        (136, 130, 82), (164, 148, 100), (130, 134, 78), (194, 172, 112), (160, 128, 94), (84, 92, 56), (98, 100, 62),
        (62, 80, 52), (168, 148, 122), (128, 124, 120), (186, 164, 132), (40, 82, 96), (102, 136, 128), (88, 146, 216),
        (214, 212, 206), 0.35, 0.26, 0.32, 95, 0.06, 1650),
    # autumn
    Biome(
        (116, 116, 64), (138, 126, 78), (112, 122, 66), (152, 128, 82), (116, 90, 68), (140, 92, 42), (158, 120, 50),
        (50, 66, 44), (124, 112, 94), (106, 106, 110), (146, 126, 102), (50, 62, 66), (88, 90, 76), (120, 148, 186),
        (206, 204, 200), 0.30, 0.38, 0.24, 80, 0.05, 900),
    # northern lakes
    Biome(
        (96, 108, 60), (112, 118, 76), (104, 120, 66), (142, 136, 88), (112, 98, 80), (62, 86, 46), (80, 100, 54),
        (38, 58, 44), (118, 118, 114), (104, 106, 110), (142, 132, 116), (30, 46, 58), (66, 76, 70), (112, 152, 198),
        (190, 204, 216), 0.75, 0.42, 0.25, 75, 0.11, 1200),
    # late winter, before the green
    Biome(
        (128, 120, 84), (144, 130, 96), (116, 122, 78), (156, 142, 108), (118, 98, 80), (104, 90, 74), (116, 100, 80),
        (52, 70, 54), (136, 128, 118), (116, 116, 118), (152, 138, 120), (62, 74, 80), (100, 102, 94), (146, 164, 190),
        (208, 212, 216), 0.35, 0.33, 0.27, 85, 0.05, 825),
    # wet and lush
    Biome(
        (84, 126, 54), (108, 138, 64), (96, 148, 70), (150, 164, 84), (142, 102, 74), (46, 88, 38), (62, 102, 42),
        (48, 80, 42), (108, 116, 82), (118, 116, 114), (172, 132, 98), (70, 92, 82), (120, 122, 94), (104, 154, 206),
        (204, 214, 216), 0.10, 0.38, 0.26, 90, 0.08, 1050),
)  # fmt: skip


def biome_for(rng: np.random.Generator, index: int) -> Biome:
    """Biome of the scene numbered ``index``: one preset leaning towards another, with every value jittered."""
    main = BIOMES[index % len(BIOMES)]
    other = BIOMES[int(rng.integers(len(BIOMES)))]
    lean = rng.uniform(0.0, 0.4)
    tint = rng.normal(0.0, 4.0, 3)
    mixed = {}
    for field in fields(Biome):
        a, b = np.asarray(getattr(main, field.name), float), np.asarray(getattr(other, field.name), float)
        value = a + (b - a) * lean
        if value.ndim:
            mixed[field.name] = tuple(np.clip(value + tint * 0.6 + rng.normal(0.0, 4.0, 3), 8, 247))
        else:
            mixed[field.name] = float(value * rng.uniform(0.85, 1.15))
    return Biome(**mixed)


def linear(colour: object) -> np.ndarray:
    """sRGB 0-255 to linear light 0-1, float32 (a plain 2.2 power, undone by the camera)."""
    return (np.asarray(colour, np.float32) / 255.0) ** 2.2
