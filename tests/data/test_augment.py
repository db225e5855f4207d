"""Views of a frame: every map moves together, and values that mean a geometry stay true."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import map_coordinates

from edgekit.data.augment import CropView, apply_view, cutmix_box, jitter_colour, random_view, resample
from edgekit.data.config import AugmentConfig
from edgekit.tasks import Task
from edgekit.tasks.task import IGNORE

RGB = Task("rgb", "modality", channels=3, range=(0.0, 255.0))
MANY = Task("many", "modality", channels=6)
FLOW = Task("flow", "modality", channels=2, range=(-1.0, 1.0), vector=True)
SEMANTIC = Task("semantic", "semantic", classes=tuple("abcde"))
BINARY = Task("binary", "binary")
DEPTH = Task("depth", "depth", range=(0.1, 1000.0), unit="m")
RELATIVE = Task("relative", "depth")
NORMALS = Task("normals", "normals", range=(-1.0, 1.0))

EVERYTHING = AugmentConfig(flip=True, vertical_flip=True, rotate=180, scale=(0.6, 1.8))
SEEDS = st.integers(0, 2**32 - 1)


def view_of(matrix, offset, frame, crop, zoom: float = 1.0) -> CropView:
    matrix = np.array(matrix, float)
    return CropView(matrix, np.array(offset, float), (matrix * zoom).T, zoom, frame, crop)


def maps_of(height: int, width: int) -> dict[Task, np.ndarray]:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 50, (height, width)).astype(np.float32)
    depth[height // 2, width // 3] = np.nan
    vectors = rng.normal(size=(height, width, 3)).astype(np.float32)
    normals = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    normals[1, 2] = np.nan
    return {
        RGB: rng.integers(0, 256, (height, width, 3)).astype(np.uint8),
        MANY: rng.random((height, width, 6)).astype(np.float32),
        FLOW: rng.uniform(-1, 1, (height, width, 2)).astype(np.float32),
        SEMANTIC: rng.integers(0, 5, (height, width)).astype(np.uint8),
        BINARY: rng.integers(0, 2, (height, width)).astype(np.uint8),
        DEPTH: depth,
        NORMALS: normals,
    }


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)  # NaN at the same places, or it fails


def turned_normals(normals: np.ndarray, turn) -> np.ndarray:
    out = normals.copy()
    out[..., :2] = normals[..., :2] @ np.array(turn, np.float32).T
    return out


def test_without_augmentation_a_frame_comes_back_untouched():
    view = random_view(np.random.default_rng(1), AugmentConfig(flip=False, scale=(1.0, 1.0)), (6, 8), (6, 8))
    assert view.is_identity
    for task, array in maps_of(6, 8).items():
        assert apply_view(view, task, array) is array


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_a_share_of_the_views_are_pixels_of_the_frame(share, flip):
    """Slices of it, mirrored or not; all others are what they would be without that share."""
    frame = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    config = AugmentConfig(flip=flip, rotate=30, scale=(0.4, 1.3), exact=share)
    free, exact = config.model_copy(update={"exact": 0.0}), 0
    for seed in range(100):
        view, other = (random_view(np.random.default_rng(seed), c, frame.shape[:2], (8, 9)) for c in (config, free))
        if view.zoom != 1.0:
            np.testing.assert_array_equal(view.matrix, other.matrix)
            np.testing.assert_array_equal(view.offset, other.offset)
            continue
        exact += 1
        seen = apply_view(view, RGB, frame)
        slices = np.lib.stride_tricks.sliding_window_view(frame, (8, 9), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
        there = [(slices == way).all(axis=(2, 3, 4)).any() for way in (seen, seen[:, ::-1])]
        assert there[0] or (flip and there[1])
    assert abs(exact - 100 * share) <= 13


def test_a_crop_at_whole_pixels_is_a_slice():
    view = view_of(np.eye(2), (3, 1), (10, 12), (5, 6))
    for task, array in maps_of(10, 12).items():
        same(apply_view(view, task, array), array[1:6, 3:9])


@pytest.mark.parametrize(
    ("matrix", "offset", "move", "turn"),
    [
        ([[-1, 0], [0, 1]], (8, 0), lambda a: a[:, ::-1], [[-1, 0], [0, 1]]),
        ([[1, 0], [0, -1]], (0, 8), lambda a: a[::-1], [[1, 0], [0, -1]]),
        ([[-1, 0], [0, -1]], (8, 8), lambda a: a[::-1, ::-1], [[-1, 0], [0, -1]]),
        ([[0, -1], [1, 0]], (8, 0), np.rot90, [[0, 1], [-1, 0]]),  # x right becomes up, y down becomes right
        ([[0, 1], [-1, 0]], (0, 8), lambda a: np.rot90(a, 3), [[0, -1], [1, 0]]),
    ],
    ids=["mirror", "upside-down", "half-turn", "quarter-turn", "three-quarters"],
)
def test_flips_and_quarter_turns_are_exact_also_beside_holes(matrix, offset, move, turn):
    view = view_of(matrix, offset, (8, 8), (8, 8))
    for task, array in maps_of(8, 8).items():
        expected = move(array)
        if task in (NORMALS, FLOW):
            expected = turned_normals(expected, turn)
        same(apply_view(view, task, array), np.ascontiguousarray(expected))


def test_a_quarter_turn_by_angle_loses_no_border_to_rounding():
    angle = math.radians(90)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    view = view_of(matrix, np.array([4, 4]) - matrix @ np.array([4, 4]), (8, 8), (8, 8))
    maps = maps_of(8, 8)
    for task in (SEMANTIC, DEPTH, RGB):
        same(apply_view(view, task, maps[task]), np.ascontiguousarray(np.rot90(maps[task])))


def frame_points(view: CropView) -> tuple[np.ndarray, np.ndarray]:
    """Where each crop pixel's centre lies in the frame: x and y, (h, w)."""
    y, x = np.indices(view.crop_size) + 0.5
    points = np.stack([x, y], -1) @ view.matrix.T + view.offset
    return points[..., 0], points[..., 1]


@settings(max_examples=40)
@given(SEEDS)
def test_labels_are_the_nearest_pixel_and_ignored_outside_the_frame(seed):
    view = random_view(np.random.default_rng(seed), EVERYTHING, (20, 30), (24, 22))
    label = np.random.default_rng(seed).integers(0, 5, (20, 30)).astype(np.uint8)
    x, y = frame_points(view)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (row >= 0) & (row < 20) & (column >= 0) & (column < 30)
    expected = np.where(inside, label[row.clip(0, 19), column.clip(0, 29)], IGNORE)
    doubtful = (np.abs(x - np.rint(x)) < 0.04) | (np.abs(y - np.rint(y)) < 0.04)  # half-way between two pixels
    found = apply_view(view, SEMANTIC, label)
    assert (found == expected)[~doubtful].all()
    assert set(np.unique(found)) <= {0, 1, 2, 3, 4, IGNORE}


@settings(max_examples=40)
@given(SEEDS)
def test_pictures_are_interpolated_and_continue_beyond_the_edge(seed):
    view = random_view(np.random.default_rng(seed), EVERYTHING, (20, 30), (24, 22))
    assume(view.zoom >= 0.75)
    array = np.random.default_rng(seed).random((20, 30, 6)).astype(np.float32)
    x, y = frame_points(view)
    expected = np.stack(
        [map_coordinates(array[..., c], [y - 0.5, x - 0.5], order=1, mode="nearest") for c in range(6)], -1
    )
    np.testing.assert_allclose(apply_view(view, MANY, array), expected, atol=0.05)  # OpenCV may round to 1/32 pixel


def test_a_frame_zoomed_out_is_averaged_and_not_sampled():
    """Stripes of one pixel become grey; samples of them would be black and white."""
    stripes = np.zeros((64, 96, 6), np.uint8)
    stripes[:, ::2] = 200
    for channels in (1, 3, 6):
        task = Task("stripes", "modality", channels=channels, range=(0.0, 255.0))
        view = random_view(np.random.default_rng(0), AugmentConfig(flip=False, scale=(0.5, 0.5)), (64, 96), (32, 48))
        seen = apply_view(view, task, stripes[..., 0] if channels == 1 else stripes[..., :channels])
        assert seen.shape == ((32, 48) if channels == 1 else (32, 48, channels))
        np.testing.assert_allclose(seen, 100, atol=1)


@settings(max_examples=40)
@given(SEEDS)
def test_a_map_of_lower_resolution_moves_like_the_full_one(seed):
    """Of a linear ramp, which linear interpolation reproduces at any resolution."""
    frame, crop, stride = (48, 64), (32, 40), 4
    view = random_view(np.random.default_rng(seed), EVERYTHING, frame, crop)

    def ramp(height: int, width: int, step: int) -> np.ndarray:
        y, x = (np.indices((height, width)) + 0.5) * step
        return (0.3 * x - 0.2 * y).astype(np.float32)

    full = resample(view, ramp(48, 64, 1), crop, border=math.nan)
    small = resample(view, ramp(12, 16, stride), (8, 10), border=math.nan)
    averaged = full.reshape(8, stride, 10, stride).mean(axis=(1, 3))
    both = np.isfinite(small) & np.isfinite(averaged)
    np.testing.assert_allclose(small[both], averaged[both], atol=0.1)
    assert both.mean() > 0.2


def plane(normal: np.ndarray, distance: float, focal: float, centre, size) -> np.ndarray:
    """Depth of the plane normal·P = distance seen by a pinhole camera, 0 or less where there is none."""
    y, x = np.indices(size) + 0.5
    slope = normal[0] * (x - centre[0]) / focal + normal[1] * (y - centre[1]) / focal + normal[2]
    return distance / slope


@settings(max_examples=40)
@given(SEEDS)
def test_depth_and_normals_are_those_of_the_pressed_scene(seed):
    """A plane rendered after pressing, turning and moving the scene, against the view of the plane as it was."""
    size, focal, normal = (48, 64), 80.0, np.array([0.2, -0.5, -0.84])
    normal /= np.linalg.norm(normal)
    view = random_view(np.random.default_rng(seed), EVERYTHING, size, (40, 40))
    depth = plane(normal, -10.0, focal, (32, 24), size).astype(np.float32)
    normals = np.broadcast_to(normal, (*size, 3)).astype(np.float32)

    turned = np.append(view.turn @ normal[:2], normal[2] * view.zoom)  # n transforms by the inverse transpose
    centre = np.linalg.solve(view.matrix, np.array([32, 24]) - view.offset)
    expected_depth = plane(turned, -10.0, focal, centre, (40, 40))

    found_depth, found_normals = apply_view(view, DEPTH, depth), apply_view(view, NORMALS, normals)
    x, y = frame_points(view)
    inner = (x > 1) & (x < 63) & (y > 1) & (y < 47)
    np.testing.assert_allclose(found_depth[inner], expected_depth[inner], rtol=3e-3)
    np.testing.assert_allclose(
        found_normals[inner], np.broadcast_to(turned / np.linalg.norm(turned), (*inner.shape, 3))[inner], atol=1e-5
    )
    outer = (x < -0.1) | (x > 64.1) | (y < -0.1) | (y > 48.1)
    assert np.isnan(found_depth[outer]).all() and np.isnan(found_normals[outer]).all()


def test_a_displacement_ends_at_the_pixel_that_it_ended_at_before():
    """Where a point moved by its flow arrives, seen through the view: the view of where it arrives in the frame."""
    view = random_view(np.random.default_rng(5), EVERYTHING, (40, 60), (24, 32))
    flow = np.full((40, 60, 2), [3.0, -1.5], np.float32)
    to_crop = np.linalg.inv(view.matrix)
    start, end = np.array([30.0, 20.0]), np.array([33.0, 18.5])
    moved = to_crop @ (end - view.offset) - to_crop @ (start - view.offset)
    np.testing.assert_allclose(apply_view(view, FLOW, flow), np.broadcast_to(moved, (24, 32, 2)), rtol=1e-5)


def test_relative_depth_keeps_its_values_when_zoomed():
    view = view_of(np.eye(2) / 2, (2, 2), (8, 8), (8, 8), zoom=2.0)
    flat = np.full((8, 8), 0.4, np.float32)
    np.testing.assert_allclose(apply_view(view, RELATIVE, flat), 0.4, rtol=1e-6)
    np.testing.assert_allclose(apply_view(view, DEPTH, flat), 0.2, rtol=1e-6)


def test_a_hole_neither_grows_nor_shrinks_by_much():
    depth = np.full((40, 40), 7.0, np.float32)
    depth[10:20, 12:22] = np.nan
    view = view_of(np.eye(2), (0.3, 0.4), (40, 40), (39, 39))
    found = apply_view(view, DEPTH, depth)
    assert 95 <= np.isnan(found).sum() <= 105
    np.testing.assert_allclose(found[np.isfinite(found)], 7.0, rtol=1e-6)


def test_the_draws_do_not_depend_on_what_is_switched_on():
    off, on = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(50):
        random_view(off, AugmentConfig(flip=False, scale=(0.75, 1.5)), (20, 30), (16, 16))
        random_view(on, EVERYTHING, (20, 30), (16, 16))
    assert off.bit_generator.state == on.bit_generator.state


@settings(max_examples=40)
@given(SEEDS, st.integers(4, 60), st.integers(4, 60))
def test_a_view_stays_in_the_frame_or_has_it_in_the_middle(seed, height, width):
    config = AugmentConfig(flip=True, vertical_flip=True, scale=(0.5, 2.0))
    view = random_view(np.random.default_rng(seed), config, (height, width), (20, 20))
    corners = np.array([[0, 0], [20, 20]]) @ view.matrix.T + view.offset
    for axis, side in ((0, width), (1, height)):
        least, most = sorted(corners[:, axis])
        if 20 / view.zoom <= side:
            assert least >= -1e-9 and most <= side + 1e-9
        else:
            assert least + most == pytest.approx(side)
    assert 0.5 <= view.zoom <= 2.0
    np.testing.assert_allclose(view.turn @ view.turn.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(view.turn @ view.matrix * view.zoom, np.eye(2), atol=1e-12)


def test_colour_of_strength_0_is_the_identity_and_more_changes_the_picture():
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    assert jitter_colour(np.random.default_rng(1), 0.0, rgb) is rgb
    changed = jitter_colour(np.random.default_rng(1), 0.5, rgb)
    assert changed.shape == rgb.shape and changed.dtype == np.uint8 and (changed != rgb).any()


def test_colour_against_the_formula():
    rgb = np.random.default_rng(0).integers(60, 190, (5, 6, 3)).astype(np.uint8)
    draws, strength = np.random.default_rng(4), 0.3
    contrast, saturation = draws.uniform(0.7, 1.3, 2)
    tint = draws.uniform(0.9, 1.1, 3)
    brightness = draws.uniform(-0.3, 0.3) * 80
    grey = rgb.astype(float).mean(-1, keepdims=True)
    coloured = (grey + saturation * (rgb - grey)) * tint
    expected = np.rint((contrast * coloured + 127.5 * (1 - contrast) + brightness).clip(0, 255))
    found = jitter_colour(np.random.default_rng(4), strength, rgb).astype(float)
    assert np.abs(found - expected).max() <= 1


@settings(max_examples=40)
@given(SEEDS, st.integers(32, 300), st.integers(32, 300), st.sampled_from([4, 16, 20]))
def test_a_cutmix_box_lies_inside_on_multiples(seed, height, width, multiple):
    rows, columns = cutmix_box(np.random.default_rng(seed), (height, width), multiple)
    for part, side in ((rows, height), (columns, width)):
        assert 0 <= part.start < part.stop <= side
        assert part.start % multiple == part.stop % multiple == 0


def test_cutmix_boxes_cover_10_to_50_percent():
    rng = np.random.default_rng(0)
    areas = [
        (r.stop - r.start) * (c.stop - c.start) / 400**2
        for r, c in (cutmix_box(rng, (400, 400), 4) for _ in range(300))
    ]
    assert min(areas) == pytest.approx(0.1, abs=0.02) and max(areas) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("scale", [(1.2, 1.0), (0.0, 1.0), (1.0, 20.0)])
def test_a_scale_that_is_no_range_is_refused(scale):
    with pytest.raises(ValidationError, match="scale must be"):
        AugmentConfig(scale=scale)
