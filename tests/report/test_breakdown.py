"""The page's figures of a breakdown: differences with their error, reliability, confusion, single frames."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest

from edgekit.frames.typed import Misfit
from edgekit.report.breakdown import confusion, differences, extreme_frames, read_breakdown, reliability

SIZE = (5, 7)
CLASSES = 3


def maps(seed: int, right: float, labels: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(labels.shape) < right, labels, rng.integers(0, CLASSES, labels.shape))


def counted(labels: np.ndarray, answers: np.ndarray, blocks: list[int]) -> dict:
    """A model as `distill` writes it, counted anew: (frames, H, W) labels and answers."""
    found = np.zeros((max(blocks) + 1, CLASSES, 3), int)
    matrix = np.zeros((CLASSES, CLASSES + 1), int)
    for frame, block in enumerate(blocks):
        for c in range(CLASSES):
            is_label, is_answer = labels[frame] == c, answers[frame] == c
            found[block, c] += [(is_label & is_answer).sum(), is_label.sum(), is_answer.sum()]
            for d in range(CLASSES):
                matrix[c, d] += (is_label & (answers[frame] == d)).sum()
    scores = [float((labels[i] == answers[i]).mean()) for i in range(len(blocks))]
    return {
        "scores": scores,
        "disagreement": [None] * len(blocks),
        "confusion": matrix.tolist(),
        "blocks": found.tolist(),
        "levels": np.zeros((2, 256), int).tolist(),
    }


def breakdown(models: dict, blocks: list[int], classes: list[str]) -> dict:
    metric = {"title": "mIoU %", "factor": 100, "decimals": 2, "higher": True}
    tasks = {"semantic": {"metric": metric, "classes": classes, "models": models}}
    return {"frames": [f"f{i}" for i in range(len(blocks))], "blocks": blocks, "tasks": tasks}


NAMES = ["sky", "roof", "grass"]


@pytest.mark.parametrize("blocks", [list(range(6)), [0, 0, 1, 1, 2, 2, 2]])
def test_differences_and_their_error_are_the_jackknife_by_hand(blocks):
    labels = np.random.default_rng(7).integers(0, CLASSES, (len(blocks), *SIZE))
    answers = {"baseline": maps(1, 0.4, labels), "student": maps(2, 0.6, labels)}
    found = breakdown({name: counted(labels, said, blocks) for name, said in answers.items()}, blocks, NAMES)
    header, rows = differences((found, "baseline"), (found, "student"), "semantic")
    assert header[1:4] == ["IoU % before", "after", "difference"] and [row[0] for row in rows] == ["mean", *NAMES]

    def iou(said: np.ndarray, c: int, without: int | None) -> float:
        kept = [i for i, b in enumerate(blocks) if b != without]
        a, b = labels[kept] == c, said[kept] == c
        return 100 * (a & b).sum() / (a | b).sum()

    def figures(classes: list[int]) -> tuple[float, float, float, float]:
        def less(without: int | None) -> float:
            per_class = [[iou(answers[m], c, without) for c in classes] for m in ("baseline", "student")]
            return float(np.mean(per_class[1]) - np.mean(per_class[0]))

        parts = [less(block) for block in set(blocks)]
        n, centre = len(parts), np.mean(parts)
        error = math.sqrt((n - 1) / n * sum((part - centre) ** 2 for part in parts))
        values = [np.mean([iou(answers[m], c, None) for c in classes]) for m in ("baseline", "student")]
        return (*values, less(None), error)

    for (_, before, after, difference, error, said), classes in zip(rows, [[0, 1, 2], [0], [1], [2]], strict=True):
        expected = figures(classes)
        shown = [float(before), float(after), float(difference), float(error.removeprefix("± "))]
        assert shown == pytest.approx(expected, abs=0.00501)
        assert said == ("clear" if abs(expected[2]) > 2 * expected[3] else "noise")


def test_chance_is_called_noise_and_a_gain_clear():
    blocks = list(range(30))
    said = []
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, CLASSES, (30, *SIZE))
        models = {
            "ensemble": counted(labels, maps(100 + seed, 0.50, labels), blocks),
            "baseline": counted(labels, maps(200 + seed, 0.50, labels), blocks),
            "student": counted(labels, maps(300 + seed, 0.70, labels), blocks),
        }
        found = breakdown(models, blocks, NAMES)
        chance = differences((found, "ensemble"), (found, "baseline"), "semantic")[1][0][-1]
        gain = differences((found, "baseline"), (found, "student"), "semantic")[1][0][-1]
        said.append((chance, gain))
    assert [gain for _, gain in said] == ["clear"] * 20
    assert sum(chance == "clear" for chance, _ in said) <= 4  # one in twenty is expected


def test_a_class_of_one_frame_has_no_error_and_an_empty_block_is_no_block():
    labels = np.zeros((4, *SIZE), int)
    labels[2] = 1
    answers = maps(1, 0.5, labels)
    one = breakdown({"student": counted(labels, answers, [0, 1, 2, 3])}, [0, 1, 2, 3], NAMES)
    better = breakdown({"student": counted(labels, labels, [0, 1, 2, 3])}, [0, 1, 2, 3], NAMES)
    rows = {row[0]: row for row in differences((one, "student"), (better, "student"), "semantic")[1]}
    assert rows["roof"][2] == "100.00" and rows["roof"][4:] == ["–", "–"] and "grass" not in rows
    assert rows["sky"][4].startswith("± ")
    # the same frames, and a block that holds unlabelled ones alone
    gap = {
        name: breakdown({"student": counted(labels, said, [0, 2, 3, 4])}, [0, 2, 3, 4], NAMES)
        for name, said in {"one": answers, "better": labels}.items()
    }
    assert differences((gap["one"], "student"), (gap["better"], "student"), "semantic")[1][1] == rows["sky"]


def test_only_the_same_frames_and_classes_are_compared():
    labels = np.random.default_rng(7).integers(0, CLASSES, (4, *SIZE))
    found = breakdown({"student": counted(labels, labels, [0, 1, 2, 3])}, [0, 1, 2, 3], NAMES)
    for change in ({"frames": ["f0", "f1", "f2", "g3"]}, {"blocks": [0, 0, 2, 3]}):
        assert differences((found, "student"), ({**found, **change}, "student"), "semantic") is None
    renamed = copy.deepcopy(found)
    renamed["tasks"]["semantic"]["classes"] = ["sky", "house", "grass"]
    assert differences((found, "student"), (renamed, "student"), "semantic") is None
    assert differences((found, "student"), (found, "baseline"), "semantic") is None
    relabelled = np.where(np.arange(4)[:, None, None] == 1, 9, labels)  # no pixel of a class in one of the blocks
    other = breakdown({"student": counted(relabelled, labels, [0, 1, 2, 3])}, [0, 1, 2, 3], NAMES)
    assert differences((found, "student"), (other, "student"), "semantic") is None
    unscored = copy.deepcopy(found)
    unscored["tasks"]["semantic"]["models"]["student"]["scores"][2] = None
    assert differences((found, "student"), (unscored, "student"), "semantic") is None
    assert differences((found, "student"), (found, "student"), "depth") is None


def test_a_measure_is_compared_by_the_mean_of_its_frames():
    empty = {"confusion": [], "blocks": [[]] * 4, "levels": np.zeros((2, 256), int).tolist()}
    values = {"baseline": [0.2, 0.4, None, 0.3], "student": [0.1, 0.2, None, 0.3]}
    models = {name: {"scores": v, "disagreement": [None] * 4, **empty} for name, v in values.items()}
    found = breakdown(models, [0, 1, 2, 3], [])
    found["tasks"]["semantic"]["metric"] = {"title": "AbsRel", "factor": 1, "decimals": 4, "higher": False}
    (row,) = differences((found, "baseline"), (found, "student"), "semantic")[1]
    lost = np.array([-0.1, -0.2, 0.0])
    assert row[1:4] == ["0.3000", "0.2000", "-0.1000"]
    assert float(row[4].removeprefix("± ")) == pytest.approx(lost.std(ddof=1) / math.sqrt(3), abs=5e-5)


def test_reliability_of_counted_levels():
    levels = np.zeros((2, 256), int)
    levels[:, 255], levels[:, 128], levels[:, 127] = (100, 90), (40, 10), (60, 45)
    points, error = reliability({"levels": levels.tolist()})
    half = (40 * 128 + 60 * 127) / 255 / 100  # 127 and 128 are in one of fifteen bins
    assert points == [pytest.approx((half, 0.55)), pytest.approx((1.0, 0.9))]
    assert error == pytest.approx(0.5 * abs(half - 0.55) + 0.5 * 0.1)
    assert reliability({"levels": np.zeros((2, 256), int).tolist()}) is None


def test_bins_of_few_pixels_count_for_the_error_and_are_no_points():
    levels = np.zeros((2, 256), int)
    levels[:, 255], levels[:, 50] = (100_000, 90_000), (99, 99)
    points, error = reliability({"levels": levels.tolist()})
    assert points == [pytest.approx((1.0, 0.9))]
    assert error == pytest.approx((100_000 * 0.1 + 99 * (1 - 50 / 255)) / 100_099)
    levels[:, 50] = 101, 101
    assert len(reliability({"levels": levels.tolist()})[0]) == 2


def test_confusion_in_percent_of_the_labels():
    model = {"confusion": [[6, 2, 0, 0], [0, 0, 0, 0], [1, 1, 2, 0]]}
    task = {"classes": NAMES, "models": {"student": model}}
    assert confusion(task) == (NAMES, [("sky", [75.0, 25.0, 0.0]), ("grass", [25.0, 25.0, 50.0])])
    model["confusion"][2][3] = 4
    assert confusion(task)[0] == [*NAMES, "no answer"] and confusion(task)[1][1][1] == [12.5, 12.5, 25.0, 50.0]
    assert confusion({"classes": [], "models": {}}) is None


def test_single_frames_worst_first():
    labels = np.random.default_rng(7).integers(0, CLASSES, (3, *SIZE))
    found = breakdown({name: counted(labels, labels, [0, 1, 2]) for name in ("ensemble", "student")}, [0, 1, 2], NAMES)
    models = found["tasks"]["semantic"]["models"]
    models["student"]["scores"], models["ensemble"]["disagreement"] = [0.5, None, 0.25], [0.125, 0.25, 0.0]
    shown = {what: rows for what, (_, rows) in extreme_frames(found, "semantic")}
    assert shown["Worst frames"] == [["f2", "25.00"], ["f0", "50.00"]]
    assert shown["Most disputed frames"] == [["f1", "0.2500"], ["f0", "0.1250"]]
    found["tasks"]["semantic"]["metric"]["higher"] = False
    assert next(iter(extreme_frames(found, "semantic")))[1][1][0][0] == "f0"


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f["blocks"].pop(),
        lambda f: f.update(blocks=[0, -1, 2]),
        lambda f: f["tasks"]["semantic"]["models"]["student"]["scores"].pop(),
        lambda f: f["tasks"]["semantic"]["models"]["student"]["confusion"].pop(),
        lambda f: f["tasks"]["semantic"]["models"]["student"]["blocks"][1][0].pop(),
        lambda f: f["tasks"]["semantic"]["models"]["student"]["levels"][0].pop(),
        lambda f: f["tasks"]["semantic"]["metric"].pop("factor"),
        lambda f: f["tasks"]["semantic"]["models"]["student"]["scores"].append("x"),
    ],
)
def test_a_damaged_file_is_a_misfit(tmp_path, damage):
    labels = np.random.default_rng(7).integers(0, CLASSES, (3, *SIZE))
    found = breakdown({"student": counted(labels, labels, [0, 1, 2])}, [0, 1, 2], NAMES)
    path = tmp_path / "breakdown-val.json"
    path.write_text(json.dumps(found))
    assert read_breakdown(path)["frames"] == ["f0", "f1", "f2"]
    damage(found)
    path.write_text(json.dumps(found))
    with pytest.raises(Misfit):
        read_breakdown(path)
    assert read_breakdown(tmp_path / "none.json") is None
