"""The trial: whether the ensemble is worth copying, found out before targets are computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgekit.data.source import FrameInfo
from edgekit.pipeline.run import Run
from edgekit.pipeline.trial import FOLDS, LEAST_HELD_BACK, _verdict, describe_trial, held_back, trial_of
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

GOOD, HOPELESS = ["steps=80", "learning_rate=5e-3"], ["steps=1", "learning_rate=1e-9"]
FEW_MEMBERS = ["teacher.modalities=[rgb]", "ensemble.maskings=1", "ensemble.flips=false", "evaluate.pictures=0"]


@pytest.fixture(scope="module")
def many(photographs, tmp_path_factory, draw) -> Path:
    """The tiny recipe with 40 train frames, of which it labels 32."""
    base = tmp_path_factory.mktemp("many")
    shutil.copytree(photographs / "photographs", base / "photographs")
    for i in range(100, 132):
        draw(base / "photographs" / "train", f"g{i}", i)
    text = (photographs / "tiny.yaml").read_text().replace("labelled: 0.5", "labelled: 0.8")
    (base / "tiny.yaml").write_text(text)
    return base / "tiny.yaml"


def settings(teacher: list[str], student: list[str], *more: str) -> list[str]:
    changes = [*FEW_MEMBERS, *more]
    changes += [f"teacher.train.{s}" for s in teacher] + [f"distill.train.{s}" for s in student]
    return [part for change in changes for part in ("--set", change)]


def frame(name: str, scene: str) -> FrameInfo:
    return FrameInfo(name, scene, 0, "train", True)


def test_a_quarter_of_the_labelled_frames_is_held_back_by_scene_where_there_are_scenes():
    one_scene = [frame(f"f{i}", "s") for i in range(40)]
    assert len(held_back(one_scene)) == 40 // FOLDS
    scenes = [frame(f"f{i}", f"s{i % 8}") for i in range(40)]
    held = held_back(scenes)
    assert {f.scene for f in held}.isdisjoint({f.scene for f in scenes if f not in held})
    assert len(held) == 40 // FOLDS
    few_scenes = [frame(f"f{i}", f"s{i % 3}") for i in range(40)]  # a whole one would be a third of the labels
    assert len(held_back(few_scenes)) == 40 // FOLDS


def test_the_trial_has_its_own_labels_its_own_stages_and_fewer_steps(many, tmp_path):
    run = Run.of(load_recipe(Recipe, many, ["teacher.train.steps=10"]), many.parent, tmp_path)
    bench = run.bench()
    trial = trial_of(bench)
    labelled, others = bench.train_frames()
    left, left_others = trial.bench.train_frames()
    assert len(trial.held) == LEAST_HELD_BACK == len(labelled) - len(left) and left_others == others
    assert {f.name for f in left}.isdisjoint({f.name for f in trial.held})
    assert trial.bench.recipe.teacher.train.steps == 5 and bench.recipe.teacher.train.steps == 10
    assert trial.bench.data_key != bench.data_key
    assert len(bench.frames.frames("train")) == 40  # the run itself keeps all


def test_a_good_ensemble_goes_on_and_the_table_tells_of_the_trial(many, tmp_path, tell):
    done = tell("distill", many, "--out", tmp_path, *settings(GOOD, HOPELESS))
    assert done.code == 0, done.err
    trial, run = done.found["trial"], Path(done.found["run"])
    assert trial["verdict"] == "better" and trial["held_back"] == LEAST_HELD_BACK and trial["labelled"] == 32
    assert trial["difference"] == pytest.approx(trial["scores"]["ensemble"] - trial["scores"]["baseline"])
    assert set(trial["scores"]) == {"single_all", "ensemble", "baseline"} and trial["error"] > 0
    markers = [f for name in ("teacher", "baseline") for f in (tmp_path / "stages").glob(f"{name}-*/done.json")]
    taken = [json.loads(f.read_text())["result"]["seconds"] for f in markers]  # of the trial and of the run itself
    own = [seconds for name, seconds in done.found["seconds"].items() if name[:7] in ("teacher", "labels-")]
    assert (len(taken), len(own)) == (6, 3)
    assert done.found["seconds"]["trial"] + sum(own) == pytest.approx(sum(taken), abs=0.1)
    assert "trial, teacher 1/2: 40/40" in done.err and "trial, labels-only student: 1/1" in done.err
    assert "the ensemble is better by" in (run / "table.md").read_text() and (run / "student.pt").exists()


def test_an_ensemble_that_is_worse_stops_the_run_before_its_targets(many, tmp_path, tell):
    done = tell("distill", many, "--out", tmp_path, *settings(HOPELESS, GOOD))
    run = Path(done.found["run"])
    assert done.code == 1 and done.found["trial"]["verdict"] == "worse" and done.found["trial"]["difference"] < 0
    (failed,) = done.found["requirements"]
    assert not failed["holds"] and "worse by" in failed["found"] and "pretrained encoder" in failed["found"]
    assert not (run / "student.pt").exists() and json.loads((run / "result.json").read_text()) == done.found
    stages = {p.name.rpartition("-")[0] for p in (tmp_path / "stages").iterdir()}
    assert "trial" in stages and not stages & {"targets", "student"}
    again = tell("distill", run)
    assert again.code == 1 and again.found == done.found and "labels-only student:" not in again.err


def test_a_run_may_go_on_all_the_same(many, tmp_path, tell):
    changes = settings(HOPELESS, GOOD, "distill.unless_better=warn")
    done = tell("distill", many, "--out", tmp_path, *changes)
    assert done.found["trial"]["verdict"] == "worse" and (Path(done.found["run"]) / "student.pt").exists()


def test_few_labels_are_no_trial_and_it_says_so(first):
    assert first.found["trial"] == {"labelled": 4, "held_back": 0, "verdict": "unclear"}
    assert "4 labelled frames are too few" in (first.run / "table.md").read_text()


@pytest.mark.parametrize(
    ("difference", "verdict", "said"),
    [
        ((0.02, 0.005), "better", "is better by 0.0200 ± 0.0050"),
        ((0.02, 0.03), "unclear", "is better by 0.0200 ± 0.0300, which may be chance"),
        ((-0.02, 0.03), "unclear", "is worse by 0.0200 ± 0.0300, which may be chance"),
        ((-0.02, 0.005), "worse", "is not worth distilling; try a pretrained encoder"),
        (None, "unclear", "not comparable"),
    ],
)
def test_within_its_error_a_difference_is_unclear(difference, verdict, said):
    found = {"task": "semantic", "held_back": 9, "labelled": 36, "scores": {"ensemble": 0.5, "baseline": 0.48}}
    whole, error = difference or (None, None)
    assert _verdict(difference) == verdict
    assert said in describe_trial({**found, "difference": whole, "error": error, "verdict": verdict})
