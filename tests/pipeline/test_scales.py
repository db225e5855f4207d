"""At which size networks see frames, where a recipe leaves it open."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.pipeline.scales import describe_scales, frame_size, with_scales
from edgekit.recipe.schema import Recipe


def recipe(**sections) -> Recipe:
    return Recipe.model_validate(
        {"name": "r", "data": {"source": "image_folder", "root": "."}, "tasks": {"semantic": {}}, **sections}
    )


def sizes(found: Recipe) -> tuple:
    return (
        found.student.input_scale,
        found.distill.train.augment.scale,
        found.teacher.train.augment.scale,
        found.ensemble.scales,
    )


def test_worked_by_hand():
    # Crops of 192×288 have 55,296 pixels: sqrt(55296 / 240000) = 0.48, times 1.25 = 0.6.
    found = with_scales(recipe(), (400, 600))
    assert found.distill.train.augment.exact == found.teacher.train.augment.exact == 0.0  # neither sees frames at 1.0
    small = with_scales(recipe(ensemble={"scales": [0.8, 1.0]}), (192, 288))
    assert small.distill.train.augment.exact == small.teacher.train.augment.exact == 0.25
    # sqrt(0.6 × 1.2) = 0.849; 1.44 / 1.2 = 1.2
    assert sizes(found) == (0.6, (0.42, 0.96), (0.6, 1.44), [0.849, 0.6, 1.2])
    assert describe_scales(found) == (
        "Frames are seen at 0.6 of their size by the student, at 0.6 to 1.44 in the training of teachers, "
        "and at 0.849, 0.6, 1.2 in the ensemble"
    )
    # A frame as large as the crop: the student sees it whole, and teachers at no less than 0.8.
    assert sizes(with_scales(recipe(), (192, 288))) == (1.0, (0.7, 1.6), (0.8, 1.92), [1.13, 0.8, 1.6])
    # Teachers with crops of their own: 1.25 × sqrt(96 × 144 / 240000) = 0.3.
    own = recipe(teacher={"train": {"crop": [96, 144]}})
    assert sizes(with_scales(own, (400, 600))) == (0.6, (0.42, 0.96), (0.3, 0.72), [0.424, 0.3, 0.6])


def test_what_the_recipe_says_stays():
    said = recipe(
        student={"input_scale": 0.5},
        distill={"train": {"augment": {"scale": [0.35, 0.8], "exact": 0.1}}},
        teacher={"train": {"augment": {"scale": [0.5, 1.2], "exact": 0.0}}},
        ensemble={"scales": [0.7]},
    )
    assert with_scales(said, (400, 600)) == said
    assert sizes(with_scales(recipe(student={"input_scale": 0.5}), (400, 600)))[:2] == (0.5, (0.35, 0.8))
    middle = recipe(distill={"train": {"augment": {"scale": [0.36, 0.64]}}})
    assert with_scales(middle, (400, 600)).student.input_scale == 0.48  # sqrt(0.36 × 0.64)
    narrow = recipe(teacher={"train": {"augment": {"scale": [0.9, 1.1]}}})
    assert with_scales(narrow, (400, 600)).ensemble.scales == [1.0]  # 1.1 / 1.2 is not far from 0.9
    other = recipe(teacher={"train": {"augment": {"scale": [0.5, 0.72]}}})
    assert with_scales(other, (400, 600)).ensemble.scales == [0.6]  # sqrt(0.5 × 0.72)
    own = recipe(distill={"train": {"augment": {"scale": [0.5, 1.2]}}})
    assert with_scales(own, (400, 600)).student.input_scale == 1.0


def test_a_member_with_a_training_of_its_own():
    member = {"family": "repseg", "train": {"crop": [96, 144]}}
    found = with_scales(recipe(teacher={"members": [member, {"family": "repseg"}]}), (400, 600))
    assert found.teacher.members[0].train.augment.scale == (0.3, 0.72)
    assert found.teacher.members[0].train.augment.exact == 0.0
    assert found.teacher.members[1].train is None and found.teacher.train.augment.scale == (0.6, 1.44)


@given(st.integers(300, 4000), st.integers(300, 4000), st.sampled_from([(96, 96), (192, 288), (320, 512)]))
def test_no_size_is_one_that_a_recipe_could_not_say(height, width, crop):
    train = {"crop": list(crop)}
    found = with_scales(recipe(teacher={"train": train}, distill={"train": train}), (height, width))
    again = Recipe.model_validate(found.model_dump())
    assert again == found
    least, most = found.teacher.train.augment.scale
    assert all(least <= scale <= most for scale in found.ensemble.scales)
    if found.student.input_scale < 0.5:  # twice the sides, half the scale
        doubled = with_scales(recipe(teacher={"train": train}, distill={"train": train}), (2 * height, 2 * width))
        assert doubled.student.input_scale == pytest.approx(found.student.input_scale / 2, rel=0.01)


def test_frames_of_several_sizes():
    shapes = [(10, 20), (100, 200), (10, 20), (10, 20), (30, 40), (10, 20), (10, 20), (10, 20), (30, 40)]
    frames = SimpleNamespace(
        frames=lambda split: list(range(len(shapes))),
        read=lambda frame, names: {"rgb": np.zeros((*shapes[frame], 3), np.uint8)},
    )
    assert frame_size(frames) == (10, 20)  # of frames 0, 2, 4, 6, 8
    shapes[2:] = []
    assert frame_size(frames) == (10, 20)  # of 0, 0, 0, 0, 1
    shapes[:] = [(40, 30), (10, 20), (30, 41), (5, 5), (90, 90)]
    assert frame_size(frames) == (40, 30)
