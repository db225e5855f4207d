"""Folds hold out what neighbours of the other frames do not show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.fold import folds_of
from edgekit.data.source import FrameInfo


def frame(name: str, scene: str, index: int, labelled: bool) -> FrameInfo:
    return FrameInfo(split="train", name=name, scene=scene, index=index, labelled=labelled)


def film(labels: list[bool], scenes: int) -> list[FrameInfo]:
    """Frames of equally long scenes, one after the other."""
    return [frame(f"f{i:03}", f"s{i * scenes // len(labels)}", i, has) for i, has in enumerate(labels)]


def test_frames_of_one_film_are_held_out_as_runs_of_neighbours():
    frames = film([i % 4 == 0 for i in range(32)], scenes=1)
    fold = folds_of(frames, 4)
    assert [fold[f.name] for f in frames if f.labelled] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [fold[f.name] for f in frames if not f.labelled] == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6


def test_scenes_are_held_out_whole_and_those_with_labels_are_shared_out():
    """Labels in every fourth scene alone: by place in the film, one fold would hold all of them out."""
    frames = film([i // 2 % 4 == 0 for i in range(32)], scenes=16)
    fold = folds_of(frames, 4)
    for scene in {f.scene for f in frames}:
        assert len({fold[f.name] for f in frames if f.scene == scene}) == 1
    assert sorted(fold[f.name] for f in frames if f.labelled) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {n: list(fold.values()).count(n) for n in range(4)} == dict.fromkeys(range(4), 8)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 9), st.integers(2, 5))
def test_every_frame_is_in_one_fold_and_folds_are_even(labels, scenes, count):
    frames = film(labels, min(scenes, len(labels)))
    fold = folds_of(frames, count)
    assert fold.keys() == {f.name for f in frames} and set(fold.values()) <= set(range(count))
    with_labels = {f.scene for f in frames if f.labelled}
    if len(with_labels) >= count:
        held = [{f.scene for f in frames if fold[f.name] == n} for n in range(count)]
        assert all(a.isdisjoint(b) for i, a in enumerate(held) for b in held[:i])
        sizes = [len(h & with_labels) for h in held]
    else:
        sizes = [sum(f.labelled and fold[f.name] == n for f in frames) for n in range(count)]
    assert max(sizes) - min(sizes) <= 1
