"""The benchmark of chosen frames, from generated pictures to its table, on a recipe that takes a moment."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from edgekit.frames.images import write_png

RECIPE = """\
name: tiny
data: {source: image_folder, root: tiny, class_names: [sky, grass, red], labelled: 0.5}
tasks: {semantic: {}}
teacher:
  modalities: [rgb]
  members: [{family: repseg, width: 4}]
  train: &train {steps: 2, batch_size: 2, crop: [32, 48], warmup: 1, precision: fp32, workers: 1}
ensemble: {maskings: 1}
student: {name: repseg, width: 16}
distill: {train: *train}
evaluate: {split: val}
"""


@pytest.fixture
def benchmark(benchmark_module):
    return benchmark_module("select_frames")


@pytest.fixture
def tell(benchmark, tmp_path, monkeypatch, capsys):
    """Run the benchmark on twelve train frames: two show red, the others one of two views again and again."""
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    for number, split in enumerate(["train"] * 12 + ["val"] * 2):
        label = np.repeat(np.uint8([[0], [1]]), 24, 0) + np.zeros((1, 64), np.uint8)
        rgb = views[number % 2].copy()
        if number in (5, 6):
            rgb[24:, 8 * (number - 4) :] = (250, 20, 30)
            label[24:, 8 * (number - 4) :] = 2
        write_png(tmp_path / "data/tiny" / split / "images" / f"f{number}.png", rgb)
        write_png(tmp_path / "data/tiny" / split / "labels" / f"f{number}.png", label)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    common = ["--recipes", tmp_path / "tiny.yaml", "--data", tmp_path / "data", "--out", tmp_path / "runs", "--json"]

    def tell(*arguments):
        monkeypatch.setattr(sys, "argv", ["select_frames.py", *map(str, [*common, *arguments])])
        benchmark.main()
        return json.loads(capsys.readouterr().out)

    tell.root = tmp_path / "runs"
    return tell


def test_from_frames_to_scores_and_nothing_is_done_twice(tell):
    found = tell("--count", 4, "--draws", 1)["tiny"]
    assert list(found) == ["labels", "half"]
    for scores in found.values():
        assert list(scores) == ["chosen", "evenly spaced", "random"]
        assert all(0 <= value <= 100 for row in scores.values() for values in row.values() for value in values)
    lists = {p.name: p.read_text().split() for p in (tell.root / "lists/tiny/half").iterdir()}
    for row in ("chosen", "evenly-spaced", "random"):
        labelled, kept = lists[f"{row}-0-labelled.txt"], lists[f"{row}-0-train.txt"]
        assert len(set(labelled)) == 4 and set(labelled) < set(kept) and len(set(kept)) == 4 + 4
        assert labelled == lists["evenly-spaced-0-labelled.txt"]
    done = {p: p.stat().st_mtime_ns for p in tell.root.glob("stages/*/done.json")}
    assert tell("--count", 4, "--draws", 1)["tiny"] == found
    assert {p: p.stat().st_mtime_ns for p in tell.root.glob("stages/*/done.json")} == done


def test_coverage_counts_labels(tell):
    """Four frames that differ are two views and the two with red; evenly spaced ones are mostly copies."""
    rows = {row[0]: row[1:] for row in tell("--coverage", "--count", 4, "--draws", 3)["tiny"]}
    red = [(64 - 8) * 24 / (48 * 64), (64 - 16) * 24 / (48 * 64)]
    assert rows["chosen"][:3] == [f"{100 * sum(red) / 4:.2f}", "2.50", "2.00"] and rows["chosen"][3] == "0.00"
    assert float(rows["evenly spaced"][0].split()[0]) < float(rows["chosen"][0])


def test_evenly_spaced_and_random_draws_are_what_they_say(tell, benchmark, tmp_path):
    frames = benchmark.Frames(tmp_path / "tiny.yaml", tmp_path / "data/tiny")
    assert [info.name for info in frames.infos] == [f"f{i}" for i in range(12)]
    even = [frames.draw("evenly spaced", 4, d, 3) for d in range(3)]
    assert even == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert frames.draw("evenly spaced", 5, 0, 1, kept=[0, 1]) == [3, 5, 7, 9, 11]
    draws = [frames.draw("random", 4, d, 3) for d in range(3)]
    assert all(sorted(set(d)) == d and len(d) == 4 for d in draws) and draws[0] != draws[1]
    assert frames.draw("random", 4, 1, 3) == draws[1]
    assert set(frames.draw("chosen", 3, 0, 1, kept=[5])) & {5} == set()
