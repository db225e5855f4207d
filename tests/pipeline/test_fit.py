"""What would end a run late is refused by `recipe check`, and so before anything trains."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgekit.networks.lite import Lite
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

CLASSES = "classes: [sky, roof, grass]"


@pytest.fixture
def base(photographs, tmp_path) -> Path:
    shutil.copytree(photographs, tmp_path / "base")
    return tmp_path / "base"


def refused(tell, base: Path, *changes: str) -> dict:
    """What `recipe check` says; a run is refused with the same words, and leaves no network behind."""
    sets = [a for change in changes for a in ("--set", change)]
    checked = tell("recipe", "check", base / "tiny.yaml", *sets)
    run = tell("distill", base / "tiny.yaml", "--out", base / "runs", *sets)
    assert checked.code == run.code == 2, (checked.found, run.found)
    assert checked.found["error"] == run.found["error"]
    assert not list(base.rglob("*.pt"))
    return checked.found["error"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["student.width=128"], "over the limit of 1,000,000"),
        (["data.labelled=0"], "no train frame is labelled"),
        (["distill.start=teacher"], "distill.start"),
        (["distill.train.batch_size=3", "distill.train.micro_batches=2"], "distill.train.micro_batches"),
        (["teacher.train.batch_size=3", "teacher.train.micro_batches=2"], "teacher.train.micro_batches"),
        (["student.input_scale=0.5"], "resized by 0.8 to 1.2"),
        (["teacher={modalities: [edges], members: [{family: lite}]}"], "'lite' begins with weights that are for rgb"),
    ],
)
def test_what_does_not_fit(tell, base, changes, told):
    error = refused(tell, base, *changes)
    assert told in f"{error['what']} {error['where']}"


def test_tensors_of_a_file_that_no_layer_takes_are_named(tell, base):
    """A whole classifier as the weights of an encoder: its last layers are left over."""
    state = Lite(3, 3).encoder_state() | {"classifier.weight": torch.zeros(4, 1280), "classifier.bias": torch.zeros(4)}
    torch.save(state, base / "whole.pth")
    told = tell("recipe", "check", base / "tiny.yaml", "--set", "teacher.members=[{family: lite, weights: whole.pth}]")
    assert told.code == 0 and "2 tensors of" in told.err and "classifier.weight, classifier.bias" in told.err


def test_a_split_to_score_needs_a_label(tell, base):
    shutil.rmtree(base / "photographs" / "val" / "labels")
    error = refused(tell, base)
    assert error["where"] == "evaluate.split" and "no frame of 'val' is labelled" in error["what"]


def test_without_the_split_to_score_another_or_a_fold_is_named(tell, base):
    shutil.rmtree(base / "photographs" / "val")
    error = refused(tell, base)
    assert error["where"] == "evaluate.split" and error["fix"] == "evaluate.split: test"
    shutil.rmtree(base / "photographs" / "test")
    error = refused(tell, base)
    assert "no split 'val'" in error["what"] and "data.fold: {index: 0, of: 5}" in error["fix"]
    assert tell("recipe", "check", base / "tiny.yaml", "--set", "data.fold={index: 0, of: 5}").code == 0


def test_an_empty_split_is_told_as_that(tell, base):
    for image in (base / "photographs" / "val" / "images").iterdir():
        image.unlink()
    error = refused(tell, base)
    assert error["what"] == "the split 'val' has no frames" and "add images" in error["fix"]


def say(base: Path, *splits: str) -> str:
    """Predictions on disk of the frames of these splits; the section of the recipe."""
    for split in splits:
        for image in sorted((base / "photographs" / split / "images").iterdir()):
            path = base / "said" / "semantic" / f"{image.stem}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, np.zeros((64, 96), np.uint8))
    return f"{{name: said, kind: npz, folders: [said], outputs: {{semantic: {{{CLASSES}}}}}}}"


def test_predictions_are_looked_for_of_every_frame_that_will_be_asked_for(tell, base):
    section = say(base, "train")
    (base / "said" / "semantic" / "f3.npz").unlink()
    error = refused(tell, base, f"teacher.external=[{section}]")
    assert "1 of 8 frames of train, the first is 'f3'" in error["what"] and "missing: skip" in error["fix"]
    error = refused(tell, base, f"teacher.external=[{say(base, 'train')}]")
    assert "2 of 2 frames of val" in error["what"] and error["where"] == "teacher.external.0"
    whole = tell("recipe", "check", base / "tiny.yaml", "--set", f"teacher.external=[{say(base, 'val')}]")
    assert whole.code == 0, whole.err


def test_an_answer_of_other_classes(tell, base):
    weight = numpy_helper.from_array(np.zeros((5, 3, 1, 1), np.float32), "w")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, "h", "w"])
        for name, count in (("x", 3), ("y", 5))
    ]
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "net", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(base / "net.onnx"))
    section = f"{{name: net, kind: onnx, file: net.onnx, outputs: {{semantic: {{{CLASSES}}}}}}}"
    error = refused(tell, base, f"teacher.external=[{section}]")
    assert "5 channels, expected 3" in error["what"] and "outputs.semantic" in error["where"]


def test_remarks_on_the_data_are_told_when_it_is_read(base, capsys):
    recipe = load_recipe(Recipe, base / "tiny.yaml", ["data.class_names=[sky, roof, grass, sea]"])

    def told() -> str:
        Workbench.open(recipe, base, base / "runs", base / "log")
        return capsys.readouterr().err

    assert "no train label of 'semantic' holds sea" in told()
    assert "sea" not in told(), "the data is as it was, and is not read again"
