"""The picture grid: every picture is there unchanged, titles are ink outside of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.frames.grid import grid

COLOURS = [[(200, 10, 10), (10, 200, 10), (10, 10, 200)], [(200, 200, 10), (10, 200, 200), (200, 10, 200)]]


def solid(colour, height=60, width=90):
    return np.full((height, width, 3), colour, np.uint8)


def where(canvas, colour):
    """The box of a colour: (top, left, height, width), and whether it is solid."""
    mask = (canvas == colour).all(axis=-1)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    return box, mask.sum() == box[2] * box[3]


def ink(canvas):
    return (canvas.max(axis=-1) < 120) & (np.ptp(canvas.astype(int), axis=-1) == 0)


@pytest.mark.parametrize("scale", [1, 2, 0.5])
def test_pictures_lie_in_rows_and_columns(scale):
    canvas = grid([[solid(c) for c in row] for row in COLOURS], ["first", "second"], ["a", "b", "c"], scale=scale)
    assert canvas.dtype == np.uint8 and canvas.ndim == 3 and canvas.shape[2] == 3
    boxes = []
    for row in COLOURS:
        for colour in row:
            box, whole = where(canvas, colour)
            assert whole and box[2:] == (60 * scale, 90 * scale)
            boxes.append(box)
    tops = [b[0] for b in boxes]
    lefts = [b[1] for b in boxes]
    assert tops[:3] == [tops[0]] * 3 and tops[3:] == [tops[3]] * 3
    assert lefts[:3] == lefts[3:]
    assert 0 < tops[3] - tops[0] - 60 * scale <= 8 and 0 < lefts[1] - lefts[0] - 90 * scale <= 8  # thin gaps
    assert (canvas[-1] == 255).all() and (canvas[:, -1] == 255).all()


def test_titles_are_written_above_and_beside():
    pictures = [[solid(c) for c in row] for row in COLOURS]
    canvas = grid(pictures, ["first", "second"], ["input", "label", "student"])
    (top, left, _, _), _ = where(canvas, COLOURS[0][0])
    marks = ink(canvas)
    for row in COLOURS:
        for colour in row:
            (y, x, height, width), _ = where(canvas, colour)
            assert marks[:top, x : x + width].sum() > 10
            assert marks[y : y + height, :left].sum() > 10
    assert not marks[top:, left:].any() and not marks[:top, :left].any()


def test_without_titles_there_is_no_ink_and_no_room_for_it():
    canvas = grid([[solid((200, 10, 10))]], [], [])
    assert not ink(canvas).any()
    assert canvas.shape[0] <= 60 + 16 and canvas.shape[1] <= 90 + 16


def test_a_long_title_stays_over_its_picture():
    long = "disagreement of the ensemble on this frame and on all others"
    canvas = grid([[solid((200, 10, 10)), solid((10, 200, 10))]], ["a row title longer than the row"], [long, ""])
    (top, left, height, _), _ = where(canvas, (10, 200, 10))
    marks = ink(canvas)
    assert marks[:top, :left].any() and not marks[:top, left:].any()
    assert not marks[top + height :].any()


def test_a_long_title_shows_its_beginning():
    one = grid([[solid((200, 10, 10))]], [], ["disagreement of the ensemble"])
    other = grid([[solid((200, 10, 10))]], [], ["disagreement of the many networks together"])
    np.testing.assert_array_equal(one, other)
    assert (one != grid([[solid((200, 10, 10))]], [], ["agreement of the ensemble"])).any()


def test_pictures_of_several_sizes_and_short_rows():
    rows = [[solid((200, 10, 10), 40, 50), solid((10, 200, 10), 60, 30)], [solid((10, 10, 200), 20, 70)]]
    canvas = grid(rows, ["a", "b"], ["x", "y"])
    boxes = [where(canvas, c) for c in ((200, 10, 10), (10, 200, 10), (10, 10, 200))]
    assert [whole for _, whole in boxes] == [True] * 3
    assert [box[2:] for box, _ in boxes] == [(40, 50), (60, 30), (20, 70)]


@pytest.mark.parametrize("scale", [1, 3])
def test_content_is_repeated_and_not_smoothed(scale):
    picture = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    canvas = grid([[picture]], [], [], scale=scale)
    expected = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(canvas, expected.shape)[:, :, 0]
    assert (windows == expected).all(axis=(2, 3, 4)).any()


@pytest.mark.parametrize(
    ("rows", "row_titles", "column_titles"),
    [([], [], []), ([[]], [], []), ([[solid((1, 2, 3))]], ["a", "b"], []), ([[solid((1, 2, 3))]], [], ["a", "b"])],
)
def test_titles_that_do_not_fit_are_refused(rows, row_titles, column_titles):
    with pytest.raises(ValueError, match=r"title|picture"):
        grid(rows, row_titles, column_titles)
