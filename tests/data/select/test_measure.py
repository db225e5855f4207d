"""Defects and relevance on pictures whose defects are known, and that what is kept of a frame is small."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from edgekit.data.select.choose import choose
from edgekit.data.select.measure import CandidateFrame, Predicted, defects, measure
from edgekit.errors import EdgekitError


def scene(seed, height=96, width=144):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (1.5, 1.5, 0))
    return np.clip(rng.uniform(90, 160, 3) + 250 * field, 0, 255).astype(np.uint8)


def candidate(name, rgb, scene="film", predicted=None):
    return CandidateFrame(name, scene, lambda: rgb, predicted)


def blurred(rgb, sigma):
    return ndimage.gaussian_filter(rgb, sigma)


def test_blur_grows_with_every_blur_and_sees_motion_to_one_side():
    for seed in range(3):
        rgb = scene(seed)
        said = [defects(blurred(rgb, (s, s, 0)))[0] for s in (0, 1, 2, 4)]
        assert said == sorted(said) and said[-1] > said[0] + 0.1
        assert defects(blurred(rgb, (0, 4, 0)))[0] > said[0] + 0.1
        assert defects(blurred(rgb, (4, 0, 0)))[0] > said[0] + 0.1


def test_blur_depends_little_on_how_much_there_is_to_see():
    rgb = scene(0)
    faint = (128 + (rgb.astype(float) - 128) / 3).astype(np.uint8)
    half = rgb.copy()
    half[:, 72:] = ndimage.gaussian_filter(half[:, 72:], (20, 20, 0))  # half of it calm water
    assert abs(defects(faint)[0] - defects(rgb)[0]) < 0.05
    assert abs(defects(half)[0] - defects(rgb)[0]) < 0.08


def test_clipped_and_empty_pixels_are_counted():
    rgb = scene(1)
    bad = rgb.copy()
    bad[:24], bad[24:48] = 255, 0
    assert defects(bad)[1] == pytest.approx(0.5, abs=0.02) and defects(bad)[2] < 0.01
    grey = rgb.copy()
    grey[48:] = 128
    assert defects(grey)[2] == pytest.approx(0.5, abs=0.02) and defects(grey)[1] < 0.02
    smeared = rgb.copy()
    smeared[48:] = rgb[47]  # rows repeat the one above, which is no pixel without content: columns differ
    assert defects(smeared)[2] < 0.1


@pytest.mark.parametrize("height, width", [(1, 1), (3, 5), (17, 2), (480, 1920)])
def test_any_size_is_measured(height, width):
    found = measure(
        [candidate("a", np.full((height, width, 3), 77, np.uint8)), candidate("b", scene(0, height, width))]
    )
    assert np.isfinite(found.defects).all() and all(np.isfinite(block).all() for block in found.blocks)
    assert len(choose(found, 2).choice.order) == 2


def test_a_damaged_frame_is_named_and_the_others_are_measured_in_the_order_of_names():
    def broken():
        raise EdgekitError("the file is cut off")

    frames = [candidate("f10", scene(0)), CandidateFrame("f3", "film", broken), candidate("f2", scene(1))]
    calls = []
    found = measure(frames, lambda done, total: calls.append((done, total)))
    assert [frame.name for frame in found.frames] == ["f2", "f10"] and found.unread == {"f3": "the file is cut off"}
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert sum(block[0].nbytes for block in found.blocks) < 4096


def test_spoiled_twins_are_not_chosen_while_there_is_something_sound():
    frames = []
    for i in range(12):
        rgb = scene(i)
        frames.append(candidate(f"{i:02d}-good", rgb))
        if i % 3 == 0:
            frames.append(candidate(f"{i:02d}-soft", blurred(rgb, (3, 3, 0))))
            frames.append(candidate(f"{i:02d}-white", np.clip(rgb.astype(int) + 140, 0, 255).astype(np.uint8)))
    found = measure(frames)
    names = [frame.name for frame in found.frames]
    ranking = choose(found, 12)
    assert all("good" in names[i] for i in ranking.choice.order)
    worst = {names[i] for i in np.argsort(ranking.quality)[:8]}
    assert all("good" not in name for name in worst)
    assert {ranking.why[names.index(n)] for n in worst} <= {"blurred", "badly exposed", "blurred, badly exposed"}


def test_a_film_is_compared_with_itself():
    """A film at night is as good as one by day, a dark frame by day is not."""
    night = [candidate(f"n{i}", scene(i) // 30, "night") for i in range(10)]
    day = [candidate(f"d{i}", scene(20 + i) // (30 if i == 4 else 1), "day") for i in range(10)]
    ranking = choose(measure([*night, *day]), 1)
    assert (ranking.quality[10:] > 0.5).all()
    assert ranking.quality[4] < 0.1 < 0.5 < np.delete(ranking.quality[:10], 4).min()


def said(disagreement, shares):
    """Predictions of one class map whose probabilities are ``shares`` everywhere."""
    return lambda: Predicted([disagreement], [np.tile(np.array(shares, np.float32), (8, 8, 1))])


def test_frames_with_disagreement_or_rare_classes_are_relevant():
    rgb = scene(0)  # all look the same, so that relevance decides
    common = [candidate(f"c{i}", rgb, predicted=said(0.1, [0.7, 0.3, 0])) for i in range(8)]
    unsure = candidate("unsure", rgb, predicted=said(0.6, [0.7, 0.3, 0]))
    rare = candidate("rare", rgb, predicted=said(0.1, [0.6, 0.2, 0.2]))
    found = measure([*common, unsure, rare])
    names = [frame.name for frame in found.frames]
    ranking = choose(found, 2, weights={"diversity": 0})
    assert {names[i] for i in ranking.choice.order} == {"unsure", "rare"}
    assert ranking.why[names.index("unsure")] == "predictions disagree"
    assert ranking.why[names.index("rare")] == "rare classes predicted"
    assert (ranking.relevance >= 0.5).all() and (ranking.relevance <= 1).all()
    # without its weight it does not count: then the first names come first
    order = choose(found, 2, weights={"diversity": 0, "relevance": 0}).choice.order
    assert [names[i] for i in order] == ["c0", "c1"]


def test_unknown_disagreement_speaks_neither_for_nor_against():
    frames = [candidate(f"{i}", scene(i), predicted=said(i / 10, [1.0])) for i in range(5)]
    frames.append(candidate("9", scene(9), predicted=said(float("nan"), [1.0])))
    relevance = choose(measure(frames), 1).relevance
    assert relevance[0] < relevance[5] < relevance[4] and np.isfinite(relevance).all()


def test_predictions_tell_frames_apart_that_look_alike():
    rgb = scene(0)
    frames = [
        candidate(f"{i}", rgb, predicted=said(0.1, [1, 0] if i < 5 else [0, 1])) for i in range(8)
    ]  # fmt: skip
    order = choose(measure(frames), 2).choice.order
    assert sorted(i < 5 for i in order) == [False, True]
