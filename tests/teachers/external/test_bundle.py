"""A bundle as a teacher: what it says is what a Predictor says, and a changed bundle is another teacher."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import TypeAdapter

import edgekit
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.extract import plan
from edgekit.extract.config import ExpertTask, ExtractConfig
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import RGB
from edgekit.teachers.external import bundle
from edgekit.teachers.external.config import ExternalConfig
from edgekit.teachers.external.teacher import ExternalTeacher

FRAME = FrameInfo("f", "s", 0, "train", True)


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def of_pipeline(path: Path, name: str, *, base: Path | None = None, **output) -> ExternalTeacher:
    """As `data extract` opens an expert."""
    section = TypeAdapter(ExpertTask).validate_python(
        {"expert": {"kind": "bundle", "bundle": str(path)}, "output": output}
    )
    return ExternalTeacher(section.opened_as(name), base or path.parent, {"rgb": RGB}, "extract.tasks.x")


def test_each_task_is_what_the_predictor_answers(tiny_bundle, frame):
    with edgekit.load(tiny_bundle) as predictor:
        tasks, said = predictor.manifest.tasks, predictor.infer(frame)
    for task in tasks:
        teacher = of_pipeline(tiny_bundle, f"own-{task.name}", output=task.name)
        assert teacher.tasks[f"own-{task.name}"].classes == task.classes
        (answer,) = teacher.answers([FRAME], [{"rgb": frame}], None)
        native = teacher.native(f"own-{task.name}", answer[f"own-{task.name}"])
        assert native.shape[:2] == frame.shape[:2]
        if native.dtype == np.uint8:
            np.testing.assert_array_equal(native, said[task.name])
        else:
            np.testing.assert_allclose(native, said[task.name], rtol=1e-4, atol=1e-4)


def test_it_is_looked_for_beside_the_recipe_and_nowhere_else(tiny_bundle, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny_bundle, elsewhere / "bundles" / "x")
    monkeypatch.chdir(elsewhere)  # a command may be called in any folder
    with pytest.raises(EdgekitError, match="no bundle 'bundles/x'") as caught:
        of_pipeline(Path("bundles/x"), "depth", base=tmp_path / "recipe")
    assert str(tmp_path / "recipe") in caught.value.where and "extract.tasks.x" in caught.value.where
    (elsewhere / "uav").mkdir()  # nor does a folder of that name hide what comes with edgekit
    assert of_pipeline(Path("uav"), "depth", base=tmp_path / "recipe").tasks["depth"].kind == "depth"


def test_another_bundle_under_the_same_name_is_another_teacher(tiny_bundle, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(tiny_bundle, folder)
    before = of_pipeline(folder, "depth").key()
    assert of_pipeline(folder, "depth").key() == before
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("2025-01-01", "2026-01-01"))  # exported again
    assert of_pipeline(folder, "depth").key() != before


@pytest.mark.parametrize(
    ("may_lack", "there", "needs"),
    [((), True, ["rgb", "thermal"]), (("thermal",), True, ["rgb", "thermal"]), (("thermal",), False, ["rgb"])],
)
def test_a_pipeline_makes_what_its_network_sees_before_it_is_asked(may_lack, there, needs, monkeypatch, tmp_path):
    thermal = Task("thermal", "modality", channels=1, range=(0.0, 255.0))
    preprocessing = SimpleNamespace(modalities=(RGB, thermal), may_lack=may_lack)
    manifest = SimpleNamespace(manifest=SimpleNamespace(preprocessing=preprocessing))
    monkeypatch.setattr(bundle, "_opened", lambda *asked: manifest)
    tasks = {"depth": {"expert": {"kind": "bundle", "bundle": "x"}}}
    if there:  # behind it in the file
        tasks["thermal"] = {"expert": {"kind": "bundle", "bundle": "y"}}
    config = ExtractConfig.model_validate({"sets": {"train_set": ["a.mp4"]}, "tasks": tasks})
    assert plan._needs("depth", config.tasks["depth"], config, tmp_path) == needs


def test_a_member_of_an_ensemble_answers_for_the_task_of_the_data(tiny_bundle, frame):
    with edgekit.load(tiny_bundle) as predictor:
        (task, *_), said = predictor.manifest.tasks, predictor.infer(frame)
    known = {"rgb": RGB, task.name: task}
    config = {"name": "old", "kind": "bundle", "bundle": tiny_bundle.name, "outputs": {task.name: {}}}
    teacher = ExternalTeacher(
        TypeAdapter(ExternalConfig).validate_python(config), tiny_bundle.parent, known, "teacher.external.0"
    )
    (answer,) = teacher.answers([FRAME], [{"rgb": frame}], None)
    np.testing.assert_array_equal(kind_of(task).decode(task, answer[task.name][0].numpy()), said[task.name])


def test_its_key_is_of_the_bundle_and_of_the_file_that_runs(tiny_bundle, tiny, tmp_path):
    first = of_pipeline(tiny_bundle, "x", output="depth").key()
    elsewhere = tiny.write_tiny_bundle(tmp_path / "same")
    assert of_pipeline(elsewhere, "x", output="depth").key() == first
    config = ExternalTeacher(
        of_pipeline(tiny_bundle, "x", output="depth").config.model_copy(update={"precision": "fp32"}),
        tiny_bundle.parent,
        {"rgb": RGB},
        "x",
    )
    assert config.key() != first


def test_what_does_not_fit_is_told(tiny_bundle, tmp_path):
    for output, what in (({"output": "sky"}, "no output 'sky'"), ({}, "none is called 'other'")):
        with pytest.raises(EdgekitError, match=what):
            of_pipeline(tiny_bundle, "other", **output)
    config = of_pipeline(tiny_bundle, "x", output="depth").config
    with pytest.raises(EdgekitError, match="sees 'rgb', and the data has none"):
        ExternalTeacher(config, tmp_path, {"heat": Task("heat", "modality", channels=1, range=(0.0, 1.0))}, "x")
    with pytest.raises(EdgekitError, match="there is no bundle 'missing'"):
        ExternalTeacher(config.model_copy(update={"bundle": "missing"}), tmp_path, {"rgb": RGB}, "x")
