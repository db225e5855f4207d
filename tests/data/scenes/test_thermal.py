"""The simulated thermal camera: what is warmer than what, and what its picture is like."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edgekit.data.scenes import frame as frame_module
from edgekit.data.scenes.grid import CELLS, FOREST, LAND, LITTLE, RESIDENTIAL, ROAD, SKY, WATER
from edgekit.data.scenes.shade import Hits
from edgekit.data.scenes.thermal import RANGE, camera, sky_temperature, surface_temperature

DOWN = np.float32([[0, 0, -1]])
UP = np.float32([[0, 0, 1]])


def world(sun=(-0.6, 0.0, 0.8), shade: float = -1e3) -> SimpleNamespace:
    return SimpleNamespace(
        sun=np.float32(sun),
        shade=np.full((CELLS, CELLS), shade, np.float32),
        clouds=np.zeros((512, 512), np.float32),
    )


def kelvin(label: int, *, of=None, colour: float = 0.2, view=DOWN, distance: float = 50.0, normal=UP) -> float:
    """How warm one point looks."""
    hits = Hits(np.float32([[5, 5, 1]]), np.array([label]), normal, np.full((1, 3), colour, np.float32), np.ones(1))
    return float(surface_temperature(of or world(), hits, view, np.float32([distance]))[0])


def test_what_takes_the_sun_is_warmer():
    assert kelvin(ROAD) > kelvin(ROAD, of=world(shade=1e3)) + 5  # in shade
    assert kelvin(ROAD) > kelvin(ROAD, colour=0.8) + 5  # bright
    slope = np.float32([[-0.6, 0, 0.8]])  # towards the sun, in the west
    assert kelvin(ROAD, normal=slope) > kelvin(ROAD) > kelvin(ROAD, normal=slope * np.float32([-1, 1, 1]))


def test_classes_differ_as_their_surfaces_do():
    assert kelvin(WATER) < kelvin(FOREST) < kelvin(LAND) < kelvin(ROAD)
    assert kelvin(LITTLE, of=world(shade=1e3)) > kelvin(LAND, of=world(shade=1e3)) + 2  # of itself
    assert kelvin(RESIDENTIAL) > kelvin(LAND)


def test_what_stores_heat_is_cold_in_the_morning():
    morning, afternoon = world(sun=(0.6, 0.0, 0.8)), world(sun=(-0.6, 0.0, 0.8))
    for label in (ROAD, WATER):
        assert kelvin(label, of=afternoon) > kelvin(label, of=morning) + 0.5
    change = kelvin(ROAD, of=afternoon) - kelvin(ROAD, of=morning)
    assert change > kelvin(FOREST, of=afternoon) - kelvin(FOREST, of=morning)


def test_flat_views_show_the_cold_sky_and_distance_takes_contrast():
    flat = np.float32([[0.995, 0, -0.1]])
    assert kelvin(WATER, view=flat) < kelvin(WATER) - 5
    air = 280 + 18 * 0.8
    near, far = (kelvin(ROAD, distance=metres) - air for metres in (50, 5000))
    assert 0 < far < 0.3 * near


def test_the_sky_is_cold_above_and_clouds_are_warmer():
    directions = np.float32([[1, 0, 0], [0.7, 0, 0.714], [0, 0, 1]])
    clear = sky_temperature(world(), directions)
    assert (np.diff(clear) < 0).all() and clear[-1] < 250
    cloudy = world()
    cloudy.clouds[:] = 1
    assert (sky_temperature(cloudy, directions)[1:] > clear[1:] + 10).all()


def test_its_picture_is_coarser_and_noisy():
    flat = np.full((80, 144), 300.0, np.float32)
    picture = camera(flat, np.random.default_rng(0)).astype(float)
    per_kelvin = 255 / (RANGE[1] - RANGE[0])
    assert picture.mean() == pytest.approx((300 - RANGE[0]) * per_kelvin, abs=0.3) and 0 < picture.std() < per_kelvin
    lines = flat.copy()
    lines[:, ::2] += 20  # finer than its pixels
    assert camera(lines, np.random.default_rng(0)).astype(float).std() < 0.2 * 10 * per_kelvin
    step = flat.copy()
    step[:, 72:] += 20
    seen = camera(step, np.random.default_rng(0)).astype(float).mean(axis=0)
    assert seen[-1] - seen[0] == pytest.approx(20 * per_kelvin, abs=1)


def test_a_scene_has_the_right_warmth_in_the_right_places(scene):
    levels: dict[int, list[np.ndarray]] = {label: [] for label in range(8)}
    for index in (0, 13, 26, 39):
        maps = scene.frame(index)
        for label in range(8):
            levels[label].append(maps["thermal"][maps["semantic"] == label])
    found = {label: np.concatenate(parts).mean() for label, parts in levels.items() if sum(map(len, parts)) > 50}
    ground = [level for label, level in found.items() if label not in (SKY, WATER)]
    assert len(ground) > 2 and max(found[SKY], found[WATER]) < min(ground)


def test_the_other_maps_are_what_they_were_before_there_was_such_a_camera(scene, pair, monkeypatch):
    monkeypatch.setattr(frame_module, "thermal_camera", lambda kelvin, rng: None)
    without = scene.frame(5)
    for name, array in pair.now.items():
        if name != "thermal":
            np.testing.assert_array_equal(without[name], array)
