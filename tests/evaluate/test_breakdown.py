"""What scores are made of, against counts of the same maps by other means."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.data.source import FrameInfo
from edgekit.evaluate.breakdown import Breakdown, blocks_of
from edgekit.evaluate.score import score
from edgekit.tasks import Task

CLASSES = Task("semantic", "semantic", classes=("sky", "roof", "grass"))
MASK = Task("water", "binary")
DEPTH = Task("depth", "depth", range=(1.0, 100.0), unit="m")
TASKS = [CLASSES, MASK, DEPTH]
SIZE = (6, 8)


class Frames:
    """Seven photographs, the last without labels; class 1 and 255 are in some alone."""

    sequential = False

    def __init__(self):
        rng = np.random.default_rng(0)
        self.infos = [FrameInfo(f"f{i}", "s", i, "val", i < 6) for i in range(7)]
        self.maps = {
            frame.name: {
                "rgb": np.zeros((*SIZE, 3), np.uint8),
                "semantic": rng.choice(np.array([0, 2, 255] if i % 2 else [0, 1, 2], np.uint8), SIZE),
                "water": rng.choice(np.array([0, 1, 255], np.uint8), SIZE),
                "depth": rng.uniform(1, 50, SIZE).astype(np.float32),
            }
            for i, frame in enumerate(self.infos)
        }

    def read(self, frame, names):
        return {n: self.maps[frame.name][n] for n in names}


def predictions(frames: Frames, seed: int) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        name: {
            "semantic": rng.integers(0, 3, SIZE).astype(np.uint8),
            "water": rng.integers(0, 2, SIZE).astype(np.uint8),
            "depth": maps["depth"] * np.float32(rng.uniform(1.0, 1.5)),
            "semantic_confidence": rng.integers(80, 256, SIZE).astype(np.uint8),
            "semantic_disagreement": np.full(SIZE, rng.random(), np.float32),
        }
        for name, maps in frames.maps.items()
    }


@pytest.fixture(scope="module")
def gathered():
    frames = Frames()
    breakdown, said = Breakdown(TASKS, frames.infos, sequential=False), {}
    for model in ("ensemble", "student"):
        said[model] = predictions(frames, len(model))
        score(
            lambda frame, size, model=model: said[model][frame.name],
            frames,
            frames.infos,
            TASKS,
            sequential=False,
            observe=breakdown.observer(model),
        )
    return frames, said, breakdown


def test_pixels_by_label_and_answer(gathered):
    frames, said, breakdown = gathered
    found = json.loads(json.dumps(breakdown.result()))["tasks"]["semantic"]
    assert found["classes"] == ["sky", "roof", "grass"]
    for model in ("ensemble", "student"):
        expected = np.zeros((3, 4), int)
        for frame in frames.infos[:6]:
            for label, answer in zip(
                frames.maps[frame.name]["semantic"].flat, said[model][frame.name]["semantic"].flat, strict=True
            ):
                if label != 255:
                    expected[label, answer] += 1
        assert found["models"][model]["confusion"] == expected.tolist()


def test_blocks_hold_what_iou_is_made_of(gathered):
    frames, said, breakdown = gathered
    found = breakdown.result()
    assert found["blocks"] == [0, 1, 2, 3, 4, 5, 0]
    for i, frame in enumerate(frames.infos[:6]):
        label, answer = frames.maps[frame.name]["semantic"], said["student"][frame.name]["semantic"]
        known = label != 255
        for c in range(3):
            a, b = (label == c) & known, (answer == c) & known
            counts = [int((a & b).sum()), int(a.sum()), int(b.sum())]
            assert found["tasks"]["semantic"]["models"]["student"]["blocks"][i][c] == counts


def test_confidence_is_counted_where_there_are_labels(gathered):
    frames, said, breakdown = gathered
    pixels, right = breakdown.result()["tasks"]["semantic"]["models"]["student"]["levels"]
    labels = np.stack([frames.maps[f.name]["semantic"] for f in frames.infos[:6]])
    sure, answers = (
        np.stack([said["student"][f.name][n] for f in frames.infos[:6]]) for n in ("semantic_confidence", "semantic")
    )
    for level in (80, 137, 255):
        assert pixels[level] == ((sure == level) & (labels != 255)).sum()
        assert right[level] == ((sure == level) & (labels == answers)).sum()
    assert sum(pixels) == (labels != 255).sum() and sum(pixels[:80]) == 0


def test_measures_have_scores_per_frame_and_no_classes(gathered):
    frames, said, breakdown = gathered
    found = breakdown.result()["tasks"]
    assert found["depth"]["classes"] == [] and found["water"]["classes"] == ["no water", "water"]
    scores = found["depth"]["models"]["student"]["scores"]
    ratios = [float((said["student"][f.name]["depth"] / frames.maps[f.name]["depth"]).mean()) for f in frames.infos]
    assert scores[:6] == pytest.approx([ratio - 1 for ratio in ratios[:6]], abs=1e-5) and scores[6] is None


def test_worst_and_most_disputed_frames(gathered):
    frames, said, breakdown = gathered
    ratios = {
        f.name: float((said["student"][f.name]["depth"] / frames.maps[f.name]["depth"]).mean()) for f in frames.infos
    }
    labelled = [f.name for f in frames.infos[:6]]
    assert breakdown.worst(DEPTH, 2) == sorted(labelled, key=lambda n: -ratios[n])[:2]

    def miou(name):
        label, answer = frames.maps[name]["semantic"], said["student"][name]["semantic"]
        held = [c for c in range(3) if (label == c).any()]
        return np.mean(
            [
                ((label == c) & (answer == c)).sum() / (((label == c) | (answer == c)) & (label != 255)).sum()
                for c in held
            ]
        )

    assert breakdown.worst(CLASSES, 3) == sorted(labelled, key=miou)[:3]
    disputed = {name: maps["semantic_disagreement"].mean() for name, maps in said["ensemble"].items()}
    assert breakdown.disputed(CLASSES, 7) == sorted(disputed, key=lambda n: -disputed[n])  # the one without labels too
    assert breakdown.disputed(DEPTH, 7) == []


def frame(i: int, scene: str, labelled: bool = True) -> FrameInfo:
    return FrameInfo(f"{scene}-{i}", scene, i, "val", labelled)


def test_photographs_are_blocks_of_their_own_up_to_fifty():
    assert blocks_of([frame(i, "s") for i in range(4)], sequential=False) == [0, 1, 2, 3]
    many = blocks_of([frame(i, "s") for i in range(130)], sequential=False)
    assert sorted(set(many)) == list(range(50)) and many == sorted(many)
    assert max(many.count(b) for b in set(many)) - min(many.count(b) for b in set(many)) <= 1


def test_a_scene_of_a_film_is_never_torn_where_there_are_enough():
    infos = [frame(i, f"s{scene}", labelled=i != 1) for scene in range(12) for i in range(3)]
    found = blocks_of(infos, sequential=True)
    assert [found[3 * s] for s in range(12)] == list(range(12)) and found[3 * 5] == found[3 * 5 + 2]
    few = blocks_of([frame(i, f"s{scene}") for scene in range(2) for i in range(50)], sequential=True)
    assert few == [i // 10 for i in range(100)]
