"""Shapes become pixels: against point-in-polygon and distance by hand, one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.formats.shapes import NOTHING, DrawnShape, box, ellipse, paint, polygon, runs

HEIGHT, WIDTH = 9, 12


def drawn(shape: DrawnShape) -> np.ndarray:
    return paint(HEIGHT, WIDTH, [(1, shape)], 0) == 1


def inside(points: list[tuple[float, float]], x: float, y: float) -> bool:
    """Ray casting to the right (even-odd), written for one point."""
    odd = False
    for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            odd = not odd
    return odd


# Coordinates in steps of a third: no edge between such points meets a pixel's centre within rounding but by intent.
coordinates = st.tuples(st.integers(-12, 48), st.integers(-12, 39)).map(lambda p: (p[0] / 3 + 0.01, p[1] / 3 + 0.02))


@given(st.lists(coordinates, min_size=3, max_size=9))
def test_a_polygon_holds_the_pixels_whose_centres_lie_inside(points):
    expected = [[inside(points, x + 0.5, y + 0.5) for x in range(WIDTH)] for y in range(HEIGHT)]
    assert (drawn(polygon(points, HEIGHT, WIDTH)) == expected).all()


@given(st.lists(coordinates, min_size=3, max_size=9), st.integers(0, 8))
def test_where_an_outline_begins_and_which_way_it_goes_changes_nothing(points, start):
    start %= len(points)
    turned = points[start:] + points[:start]
    whole = drawn(polygon(points, HEIGHT, WIDTH))
    assert (drawn(polygon(turned, HEIGHT, WIDTH)) == whole).all()
    assert (drawn(polygon(turned[::-1], HEIGHT, WIDTH)) == whole).all()


def test_neighbours_that_share_an_edge_share_no_pixel_and_leave_none():
    corner, middle = [(0, 0), (12, 0), (12, 9), (0, 9)], (5.3, 4.1)
    parts = [polygon([a, b, middle], HEIGHT, WIDTH) for a, b in zip(corner, corner[1:] + corner[:1], strict=True)]
    assert (sum(drawn(part).astype(int) for part in parts) == 1).all()
    halves = [
        polygon([(0, 0), (6.5, 0), (6.5, 9), (0, 9)], 9, 12),
        polygon([(6.5, 0), (12, 0), (12, 9), (6.5, 9)], 9, 12),
    ]
    assert (sum(drawn(half).astype(int) for half in halves) == 1).all()


def test_a_box_ends_where_it_says():
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[2:5, 3:10] = True
    for corners in [(3, 2, 10, 5), (10, 5, 3, 2), (3.4, 1.6, 9.6, 4.9)]:
        assert (drawn(box(*corners, HEIGHT, WIDTH)) == expected).all()
    assert drawn(box(-50, -50, 500, 500, HEIGHT, WIDTH)).all()
    assert not drawn(box(50, 50, 60, 60, HEIGHT, WIDTH)).any()


@given(*[st.floats(-4, 16)] * 2, *[st.floats(0.1, 9)] * 2)
def test_an_ellipse_holds_the_pixels_whose_centres_lie_inside(cx, cy, rx, ry):
    expected = [
        [((x + 0.5 - cx) / rx) ** 2 + ((y + 0.5 - cy) / ry) ** 2 <= 1 for x in range(WIDTH)] for y in range(HEIGHT)
    ]
    assert (drawn(ellipse(cx, cy, rx, ry, HEIGHT, WIDTH)) == expected).all()


@given(st.lists(st.booleans(), min_size=HEIGHT * WIDTH, max_size=HEIGHT * WIDTH), st.booleans())
def test_run_lengths_come_back_as_the_mask_they_were_counted_in(pixels, by_column):
    mask = np.array(pixels).reshape(HEIGHT, WIDTH)
    counts, inside_now = [0], False
    for pixel in (mask.T if by_column else mask).ravel():
        if pixel != inside_now:
            counts.append(0)
            inside_now = bool(pixel)
        counts[-1] += 1
    assert (drawn(runs(counts, HEIGHT, WIDTH, by_column=by_column)) == mask).all()


@pytest.mark.parametrize("counts", [[], [107], [109], [100, -1, 9], [2**40]])
def test_run_lengths_of_another_mask_are_refused(counts):
    with pytest.raises(ValueError, match="12x9"):
        runs(counts, HEIGHT, WIDTH)


@pytest.mark.parametrize("points", [[], [(0, 0)], [(0, 0), (5, 5)], [0, 0, 5, 5], [(0, 0, 0)] * 4])
def test_what_is_no_outline_is_refused(points):
    with pytest.raises(ValueError, match="at least three points"):
        polygon(points, HEIGHT, WIDTH)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e300])
def test_coordinates_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        polygon([(0, 0), (bad, 5), (3, 3)], HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="ellipse"):
        ellipse(bad, 0, 1, 1, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="ellipse"):
        ellipse(0, 0, bad, 1, HEIGHT, WIDTH)


@given(st.integers(-12, 14), st.integers(-14, 16), st.integers(1, 5), st.integers(1, 5))
def test_a_mask_may_reach_beyond_the_label(top, left, height, width):
    mask = np.random.default_rng(0).random((height, width)) < 0.5
    expected = np.zeros((HEIGHT, WIDTH), bool)
    for y, x in np.argwhere(mask):
        if 0 <= top + y < HEIGHT and 0 <= left + x < WIDTH:
            expected[top + y, left + x] = True
    assert (drawn(DrawnShape(mask, top, left)) == expected).all()


def test_later_shapes_lie_above():
    large, small = box(0, 0, 8, 8, HEIGHT, WIDTH), box(2, 2, 4, 4, HEIGHT, WIDTH)
    assert (paint(HEIGHT, WIDTH, [(7, small), (8, large), (9, NOTHING)], 5)[:8, :8] == 8).all()
    label = paint(HEIGHT, WIDTH, [(8, large), (7, small)], 5)
    assert (label[2:4, 2:4] == 7).all() and (label == 7).sum() == 4
    assert (label == 8).sum() == 60 and (label == 5).sum() == HEIGHT * WIDTH - 64


def test_an_outline_may_be_flat():
    points = [(1, 1), (9, 2), (5, 7.5)]
    flat = [c for point in points for c in point]
    assert (drawn(polygon(flat, HEIGHT, WIDTH)) == drawn(polygon(points, HEIGHT, WIDTH))).all()
    with pytest.raises(ValueError, match="7 coordinates"):
        polygon([*flat, 3], HEIGHT, WIDTH)


def test_an_outline_that_fills_memory_is_refused():
    """A zigzag of a megabyte: each of its edges crosses every row."""
    zigzag = np.array([(x, y) for x in range(5000) for y in (0, 16384)])
    with pytest.raises(ValueError, match="crosses more than 20,000,000 rows"):
        polygon(zigzag, 16384, 16384)
    assert polygon(zigzag[:8], 16384, 16384).mask.any()
