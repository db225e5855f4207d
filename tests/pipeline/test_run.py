"""A whole run, from `edgekit distill` to its table: what it leaves, what it skips, how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.pipeline.run import Run
from edgekit.pipeline.subject import subject_of
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.report.breakdown import read_breakdown
from edgekit.students.student import load_student
from edgekit.training import loop


def times(root: Path) -> dict[str, int]:
    """When each stage's files were written."""
    return {
        str(p.relative_to(root)): p.stat().st_mtime_ns
        for p in (root / "stages").rglob("*")
        if p.is_file() and p.name != ".lock"
    }


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_student(path).state_dict()


def equal(a: Path, b: Path) -> bool:
    one, other = weights(a), weights(b)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_run_leaves_what_it_promises(first):
    found, run = first.found, first.run
    assert run.parent == first.root and run.name.startswith("tiny-")
    names = {p.name for p in run.iterdir()}
    assert {"recipe.yaml", "run.json", "environment.json", "log.jsonl", "result.json", "table.md"} <= names
    assert {"student.pt", "baseline.pt", "pictures"} <= names
    assert json.loads((run / "result.json").read_text()) == found
    assert set(found["scores"]) == {"single_all", "single_rgb", "ensemble", "baseline", "student"}
    assert found["parameters"] == sum(p.numel() for p in load_student(run / "student.pt").parameters())
    assert found["frames"] == {"train": 8, "val": 2} and found["members"] == found["passes"] == 2 * 2 * 2
    assert found["bad_files"] == [] and found["requirements"] == []
    (picture,) = found["pictures"]
    with Image.open(picture) as image:
        assert image.width > 6 * 96
    table = (run / "table.md").read_text()
    assert f"Ensemble: {2 * 2 * 2} passes of networks\n" in table  # networks, maskings, mirrorings
    assert "| student, distilled |" in table and "| model | sky | roof | grass |" in table
    stages = sorted(p.name.rpartition("-")[0] for p in (first.root / "stages").iterdir())
    assert stages == ["baseline", "check", "statistics", "student", "targets", "teacher", "teacher"]
    assert not list((first.root / "stages").rglob("checkpoint.pt")), "finished stages keep no checkpoint"
    for line in (run / "log.jsonl").read_text().splitlines():
        assert {"stage", "step", "rate"} <= set(json.loads(line))
    broken_down = read_breakdown(run / "breakdown-val.json")["tasks"]["semantic"]["models"]
    assert set(broken_down) == {"ensemble", "baseline", "student"}
    for model, counts in broken_down.items():
        right, labelled, answered = np.array(counts["blocks"]).sum(axis=0).T
        iou = dict(zip(("sky", "roof", "grass"), right / (labelled + answered - right), strict=True))
        assert iou == pytest.approx(found["scores"][model]["semantic"]["iou"])
        assert sum(counts["levels"][0]) == 2 * 64 * 96 and all(score is not None for score in counts["scores"])
    assert all(0 <= value < 1 for value in broken_down["ensemble"]["disagreement"])
    assert "teacher 2/2: 4/4" in first.err and "waiting" in first.err
    sizes = [p.stat().st_size for p in (first.root / "stages").rglob("*.npz")]
    assert len(sizes) == 8 and found["target_bytes_per_frame"] == round(sum(sizes) / 8)


def test_a_second_call_trains_nothing_and_says_the_same(first, tell):
    before = times(first.root)
    again = tell("distill", first.recipe, "--out", first.root)
    assert again.code == 0 and times(first.root) == before
    assert again.found["scores"] == first.found["scores"]
    assert "teacher 1/2:" not in again.err and "distilled student:" not in again.err
    by_folder = tell("distill", first.run)
    assert by_folder.code == 0 and times(first.root) == before and by_folder.found["run"] == first.found["run"]


def test_a_finished_run_is_written_for_tensorboard_without_training(copied, tell):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    before = times(copied.root)
    again = tell("distill", copied.run, "--track", "tensorboard")
    assert again.code == 0 and times(copied.root) == before
    events = EventMultiplexer().AddRunsFromDirectory(str(copied.run / "tensorboard")).Reload()
    stages = {"teacher 1 of 2", "teacher 2 of 2", "labels-only student", "distilled student"}
    assert stages <= set(events.Runs()) and {f"scores {row}" for row in again.found["scores"]} <= set(events.Runs())
    logged = [json.loads(line) for line in (copied.run / "log.jsonl").read_text().splitlines()]
    losses = [(e["step"], pytest.approx(e["loss"])) for e in logged if e["stage"] == "teacher 1/2"]
    assert [(e.step, e.value) for e in events.Scalars("teacher 1 of 2", "loss")] == losses


def test_either_student_of_a_run_is_exported_with_its_recipe(first):
    """Where distillation did not help, the one on labels only."""
    run = first.run
    distilled, labels = subject_of(run), subject_of(run / "baseline.pt")
    assert labels.bench is not None and labels.config == distilled.config
    assert [shot.name for shot in labels.check] == [shot.name for shot in distilled.check]
    for subject, file in ((distilled, "student.pt"), (labels, "baseline.pt")):
        stored = load_student(run / file).state_dict()
        assert all(torch.equal(stored[name], value) for name, value in subject.student.state_dict().items())
        assert subject.provenance["student"] == file
    assert labels.provenance["student_sha256"] != distilled.provenance["student_sha256"]
    assert labels.name == f"{distilled.name}-labels-only"  # a bundle of its own, where none is named
    with pytest.raises(EdgekitError) as caught:
        subject_of(run / "baseline.pt", ["export.size=[32, 32]"], run)
    assert "leave --frames out" in caught.value.fix


def test_a_run_and_two_beside_each_other_have_a_page(copied, tell, tmp_path):
    def scored(found) -> list[str]:
        return [f"{100 * found['scores'][row]['semantic']['miou']:.2f}" for row in ("ensemble", "baseline", "student")]

    other = tell("distill", copied.recipe, "--out", copied.root, "--set", "student.width=32").found
    for name, runs in (("one", [copied.run]), ("two", [copied.run, Path(other["run"])])):
        page = tmp_path / f"{name}.html"
        assert tell("report", *runs, "--out", page).code == 0
        text = page.read_text(encoding="utf-8")
        documents = [json.loads((run / "result.json").read_text()) for run in runs]
        for document in documents:
            assert all(figure in text for figure in scored(document)) and Path(document["run"]).name in text
        for title in ("Confusion", "Worst frames", "Reliability"):
            assert title.lower() in text.lower()


def test_another_student_reuses_teachers_and_targets(copied, tell):
    before = times(copied.root)
    other = tell("distill", copied.recipe, "--out", copied.root, "--set", "student.width=32", "--no-baseline")
    after = times(copied.root)
    assert other.code == 0 and other.found["run"] != str(copied.run)
    new = {name.split("/")[1].rpartition("-")[0] for name in set(after) - set(before)}
    assert new == {"student"} and {n: after[n] for n in before} == before
    assert "baseline" not in other.found["scores"] and not (Path(other.found["run"]) / "baseline.pt").exists()
    assert load_student(Path(other.found["student"])).width == 32


def test_how_data_is_loaded_changes_no_stage(copied, tell):
    before = times(copied.root)
    options = ("teacher.train.workers=2", "distill.train.workers=2", "data.memory_gb=0", "evaluate.pictures=0")
    other = tell("distill", copied.recipe, "--out", copied.root, *(a for o in options for a in ("--set", o)))
    assert other.code == 0 and times(copied.root) == before and other.found["pictures"] == []


@pytest.mark.parametrize("damage", ["cut", "bytes"])
def test_a_damaged_target_is_computed_again(copied, tell, damage):
    path = sorted((copied.root / "stages").rglob("*.npz"))[3]
    whole = path.read_bytes()
    broken = whole[: len(whole) // 2] if damage == "cut" else whole[:100] + bytes(40) + whole[140:]
    path.write_bytes(broken)
    before = times(copied.root)
    again = tell("distill", copied.run)
    after = times(copied.root)
    assert again.code == 0 and path.read_bytes() == whole
    changed = {name for name in after if after[name] != before[name]}
    stage = next((copied.root / "stages").glob("targets-*"))
    assert changed == {str(p.relative_to(copied.root)) for p in (path, stage / "done.json")}


def test_a_damaged_network_is_trained_again_to_the_same_weights(copied, tell, first):
    (path,) = (copied.root / "stages").glob("student-*/network.pt")
    path.write_bytes(path.read_bytes()[:-100])
    again = tell("distill", copied.run, "--no-baseline")
    assert again.code == 0 and "distilled student: 4/4" in again.err and "teacher 1/2: 4/4" not in again.err
    assert equal(path, first.run / "student.pt")


def test_interrupted_and_continued_it_ends_where_an_unbroken_run_does(first, tell, tmp_path, monkeypatch):
    calls = []
    real = loop.learning_rate

    def interrupting(step, config):
        calls.append(step)
        if len(calls) in (3, 6, 15):  # in the first teacher, the second, and the last student
            os.kill(os.getpid(), signal.SIGINT)
        return real(step, config)

    monkeypatch.setattr(loop, "learning_rate", interrupting)
    codes = [tell("distill", first.recipe, "--out", tmp_path).code]
    (run,) = [p for p in tmp_path.iterdir() if p.name.startswith("tiny-")]
    while codes[-1] == 130 and len(codes) < 8:
        codes.append(tell("distill", run).code)
    assert codes == [130, 130, 130, 0]
    assert len(calls) == 4 * 4  # four trainings of four steps, none repeated
    assert equal(run / "student.pt", first.run / "student.pt")
    assert equal(run / "baseline.pt", first.run / "baseline.pt")


def test_evaluate_scores_any_split(copied, tell):
    before = times(copied.root)
    test = tell("evaluate", copied.run, "--split", "test")
    assert test.code == 0 and test.found["split"] == "test" and set(test.found["scores"]) == set(copied.found["scores"])
    assert json.loads((copied.run / "scores-test.json").read_text()) == test.found
    assert (copied.run / "table-test.md").exists() and Path(test.found["pictures"][0]).name == "semantic-test.png"
    val = tell("evaluate", copied.run)
    assert val.found["scores"] == copied.found["scores"] and times(copied.root) == before
    train = tell("evaluate", copied.run, "--split", "train")
    assert train.code == 0 and train.found["scores"]["student"]["semantic"]["miou"] is not None
    names = [Path(picture).name for picture in train.found["pictures"]]
    assert names == ["semantic-train.png", "semantic-train-worst.png"]  # after four steps no member disagrees


def test_a_requirement_that_fails_exits_with_1(copied, tell):
    failed = tell("distill", copied.recipe, "--out", copied.root, "--set", "require.parameters=1000")
    assert failed.code == 1
    (requirement,) = failed.found["requirements"]
    assert not requirement["holds"] and "1,000" in requirement["name"]
    held = tell("distill", copied.recipe, "--out", copied.root, "--set", "require.parameters=1000000")
    assert held.code == 0 and held.found["requirements"][0]["holds"]


def test_the_twin_learns_from_labels_also_where_the_student_does_not(copied, tell):
    done = tell("distill", copied.recipe, "--out", copied.root, "--set", "distill.supervised=0")
    assert done.code == 0 and "labels-only student: 4/4" not in done.err  # it is the one that is there already
    assert done.found["scores"]["baseline"] == copied.found["scores"]["baseline"]
    assert done.found["scores"]["student"] != copied.found["scores"]["student"]


def test_a_fold_holds_out_labelled_train_frames(copied, tell):
    fold = ("--set", "data.fold.index=1", "--set", "data.fold.of=2", "--set", "evaluate.pictures=0")
    done = tell("distill", copied.recipe, "--out", copied.root, "--no-baseline", *fold)
    assert done.code == 0 and done.found["frames"] == {"train": 4, "val": 2}


def test_a_finished_run_is_asked_for_before_evaluating(photographs, tell, tmp_path):
    refused = tell("evaluate", tmp_path)
    assert refused.code == 2 and "not a run directory" in refused.found["error"]["what"]


def test_a_damaged_description_of_a_run_is_told_and_mended_by_its_recipe(copied, tell):
    for text in ("", "[]", "{}"):
        (copied.run / "run.json").write_text(text)
        refused = tell("evaluate", copied.run)
        assert refused.code == 2 and refused.found["error"]["where"].endswith("run.json")
    assert tell("distill", copied.recipe, "--out", copied.root).code == 0
    assert tell("evaluate", copied.run).code == 0


def test_an_unfinished_run_cannot_be_evaluated(copied, tell):
    (copied.run / "student.pt").unlink()
    refused = tell("evaluate", copied.run)
    assert refused.code == 2 and "not finished" in refused.found["error"]["what"]
    shutil.rmtree(next((copied.root / "stages").glob("teacher-*")))
    refused = tell("evaluate", copied.run)
    assert refused.code == 2 and "not finished" in refused.found["error"]["what"]
    assert "edgekit distill" in refused.found["error"]["fix"]


REFUSED = {
    "unknown modality": (["teacher.modalities=[rgb, infrared]"], "no 'infrared'", "teacher.modalities"),
    "unknown task": (["tasks.height.weight=1"], "no 'height'", "tasks"),
    "a modality as a task": (["tasks.edges.weight=1", "teacher.modalities=[rgb]"], "is of the kind modality", "tasks"),
    "task and modality": (["teacher.modalities=[rgb, semantic]"], "both a task and a modality", None),
    "unknown split": (["evaluate.split=holdout"], "no split 'holdout'", "evaluate.split"),
    "a loss no task uses": (["distill.losses.normals.weight=1"], "'normals'", "distill.losses.normals"),
    "a loss the targets cannot serve": (["distill.losses.dist.weight=1", "targets.keep=argmax"], "", "targets.keep"),
    "nothing to learn from": (["distill.supervised=0", "distill.losses.soft.weight=0"], "nothing teaches", None),
    "too large a student": (["student.width=128"], "over the limit of 1,000,000", "student.width"),
    "no labels": (["data.labelled=0"], "no train frame is labelled", "data.labelled"),
    "an empty fold": (["data.labelled=0.125", "data.fold.index=3"], "no usable frame", None),
    "a fold there is not": (["data.fold.index=4"], "below of", None),
    "an unknown key": (["student.wdith=16"], "", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_recipe_is_refused_before_anything_trains(photographs, tell, tmp_path, case):
    changes, what, where = REFUSED[case]
    sets = [a for change in changes for a in ("--set", change)]
    refused = tell("distill", photographs / "tiny.yaml", "--out", tmp_path / "runs", *sets)
    error = refused.found["error"]
    assert refused.code == 2 and "Traceback" not in refused.err
    assert what in error["what"]
    assert error["fix"] or error["where"]
    assert where is None or where in error["where"]
    assert not list(tmp_path.rglob("*.pt")) and "teacher 1/2:" not in refused.err


def test_other_wrong_input(photographs, tell, first, tmp_path):
    missing = tell("distill", tmp_path / "nowhere.yaml")
    assert missing.code == 2 and "nowhere.yaml" in str(missing.found["error"])
    changed = tell("distill", first.run, "--set", "student.width=32")
    assert changed.code == 2 and "--set" in changed.found["error"]["what"]
    split = tell("evaluate", first.run, "--split", "holdout")
    assert split.code == 2 and "holdout" in split.found["error"]["what"]
    (tmp_path / "file").write_text("")
    unwritable = tell("distill", photographs / "tiny.yaml", "--out", tmp_path / "file")
    assert unwritable.code == 2 and "another place" in unwritable.found["error"]["fix"]


def test_other_labels_are_other_data(photographs, tell, tmp_path):
    """A list of labelled frames decides what is learned, though no image changes with it."""
    shutil.copytree(photographs, tmp_path / "base")
    listed = tmp_path / "base" / "labelled.txt"
    options = ("--set", "data.labelled=labelled.txt", "--set", "teacher.members=[{family: repseg, width: 4}]")
    runs = []
    for names in ("f0\nf1\n", "f2\nf3\n"):
        listed.write_text(names)
        done = tell("distill", tmp_path / "base" / "tiny.yaml", "--out", tmp_path / "runs", "--no-baseline", *options)
        assert done.code == 0
        runs.append(done.found)
    assert len(list((tmp_path / "runs" / "stages").glob("teacher-*"))) == 2
    assert runs[0]["scores"] != runs[1]["scores"]


def test_a_bad_file_stops_a_run_before_it_begins_or_is_left_out_and_listed(photographs, tell, tmp_path):
    shutil.copytree(photographs, tmp_path / "base")
    bad = tmp_path / "base" / "photographs" / "train" / "images" / "f3.png"
    bad.write_bytes(bad.read_bytes()[:200])
    recipe, options = tmp_path / "base" / "tiny.yaml", ("--out", tmp_path / "runs", "--no-baseline")
    refused = tell("distill", recipe, *options)
    assert refused.code == 2 and refused.found["error"]["where"] == str(bad)
    assert "on_bad_file: skip" in refused.found["error"]["fix"] and not list(tmp_path.rglob("*.pt"))
    skipped = tell("distill", recipe, *options, "--set", "data.on_bad_file=skip")
    assert skipped.code == 0 and skipped.found["frames"]["train"] == 7
    assert [b["where"] for b in skipped.found["bad_files"]] == [str(bad)]


SCENES = """\
name: world
data:
  source: scenes
  size: [48, 80]
  scenes: {train: 1, val: 0, test: 0}
  frames_per_scene: 4
  labelled: 0.5
tasks: {semantic: {}, depth: {}, normals: {weight: 0.5}}
teacher:
  modalities: [rgb, hsv, simulated_segmentation_a, simulated_depth]
  members: [{family: repseg, width: 4}]
  train: &train
    {steps: 3, batch_size: 2, crop: [32, 48], precision: fp32, workers: 1, augment: {cutmix: 0.5, rotate: 10}}
ensemble: {maskings: 2, scales: [1.0, 0.75]}
student: {name: repseg, width: 16}
distill: {train: *train}
evaluate: {split: train, pictures: 1}
require: {student_beats_baseline: false}
"""


def test_three_tasks_on_the_embedded_world(tell, tmp_path):
    (tmp_path / "world.yaml").write_text(SCENES)
    done = tell("distill", tmp_path / "world.yaml", "--out", tmp_path / "runs")
    assert done.code == 0, done.err
    assert [Path(p).name for p in done.found["pictures"]] == [
        *(f"{task}-train.png" for task in ("semantic", "depth", "normals")),
        "semantic-train-worst.png",
        "semantic-train-disputed.png",
    ]
    for row in done.found["scores"].values():
        assert set(row) == {"semantic", "depth", "normals"}
        assert 0 <= row["semantic"]["temporal_consistency"] <= 1
        assert row["depth"]["absrel"] > 0 and 0 < row["normals"]["mean_angle"] < 180
    assert done.found["members"] == done.found["passes"] == 2 * 2 * 2
    terms = [json.loads(x) for x in (Path(done.found["run"]) / "log.jsonl").read_text().splitlines()]
    told = " ".join(next(t for t in terms if t["stage"] == "distilled student"))
    for term in ("semantic.soft", "depth.regression", "normals.normals", "waiting"):
        assert term in told


def test_the_export_section_is_no_part_of_a_runs_name(photographs, tmp_path):
    plain = load_recipe(Recipe, photographs / "tiny.yaml")
    other = load_recipe(Recipe, photographs / "tiny.yaml", ["export.upsampling=bilinear"])
    assert Run.of(plain, photographs, tmp_path).folder == Run.of(other, photographs, tmp_path).folder
    wider = load_recipe(Recipe, photographs / "tiny.yaml", ["student.width=32"])
    assert Run.of(wider, photographs, tmp_path).folder != Run.of(plain, photographs, tmp_path).folder
