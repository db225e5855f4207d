"""Every kind of task through the whole chain: data → teachers → targets → student → INT8 → gate → device → data again.

Edgekit's own kinds in one recipe; and a kind of another package, two files and an entry point for each of its halves.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from edgekit.bundle.bundle import open_bundle
from edgekit.data.dronescapes import Dronescapes, DronescapesConfig
from edgekit.data.map_config import MapConfig
from edgekit.errors import EdgekitError
from edgekit.heads import HEADS
from edgekit.pipeline.workbench import Workbench
from edgekit.quantize.gate import holds, judge
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.runtime.load import load
from edgekit.runtime.overlay import overlay
from edgekit.tasks import KINDS, Task, kind_of
from edgekit.teachers.external.config import OutputConfig
from edgekit.teachers.external.outputs import ExternalOutput

SIZE = (64, 96)
SETS = {"train_set": 4, "validation_set": 2}
RECIPE_TASKS = {
    "semantic": {"kind": "semantic", "classes": ["left", "right", "roof"]},
    "binary": {"kind": "binary"},
    "depth": {"kind": "depth", "range": [1.0, 100.0], "unit": "m"},
    "normals": {"kind": "normals"},
    "drift": {"kind": "drift"},
}
OWN = [name for name, kind in KINDS.items() if kind.predictable]


def maps_of(seed: int) -> dict[str, np.ndarray]:
    """One frame's native maps: two halves and a roof, whose place is the seed's."""
    rng = np.random.default_rng(seed)
    label = np.zeros(SIZE, np.uint8)
    label[:, int(rng.integers(30, 66)) :] = 1
    top, left = rng.integers(5, 40), rng.integers(5, 60)
    label[top : top + 18, left : left + 25] = 2
    colours = np.array([[90, 140, 220], [60, 150, 60], [190, 60, 50]])
    directions = np.float32([[0.6, 0, -0.8], [-0.6, 0, -0.8], [0, 0, -1]])
    return {
        "rgb": np.clip(colours[label] + rng.normal(0, 12, (*SIZE, 3)), 0, 255).astype(np.uint8),
        "semantic": label,
        "binary": (label == 2).astype(np.uint8),
        "depth": np.float32([20.0, 40.0, 8.0])[label],
        "normals": directions[label],
        "drift": np.float32([[4.0, 0.0], [-2.0, 1.0], [0.5, -6.0]])[label],
    }


@pytest.fixture
def drift(install_package) -> None:
    """The kind ``drift``, installed as a package of its own."""
    files = Path(__file__).parent / "drift"
    install_package(
        "drift-kind",
        {name: (files / name).read_text(encoding="utf-8") for name in ("kind.py", "head.py")},
        {"edgekit.kinds": {"drift": "drift_kind.kind:DRIFT"}, "edgekit.heads": {"drift": "drift_kind.head:HEAD"}},
    )
    yield
    for table in (KINDS, HEADS):
        table._loaded.pop("drift", None)  # what is not installed any more is unknown again


def write_recipe(folder: Path, names: list[str]) -> Path:
    """A Dronescapes with these tasks, written by the kinds, and a tiny recipe that predicts them.

    Teachers see a map of the last kind too, from another expert: ``seen``.
    """
    tasks = {name: MapConfig(**RECIPE_TASKS[name]).task(name) for name in names}
    seed = 0
    for part, count in SETS.items():
        for i in range(count):
            seed += 1
            maps = maps_of(seed)
            stored = {"rgb": maps["rgb"]} | {n: kind_of(t).to_disk(t, maps[n], n) for n, t in tasks.items()}
            stored["seen"] = stored[names[-1]]
            for name, array in stored.items():
                place = folder / "data" / part / name
                place.mkdir(parents=True, exist_ok=True)
                np.savez(place / f"{part}_{i}.npz", array)
    train = {"steps": 2, "batch_size": 2, "crop": [32, 48], "warmup": 1, "precision": "fp32", "workers": 1}
    train["augment"] = {"scale": [0.8, 1.2], "vertical_flip": True, "rotate": 20}
    recipe = {
        "name": "kinds",
        "data": {
            "source": "dronescapes",
            "root": "data",
            "labels": names,
            "tasks": {**{name: RECIPE_TASKS[name] for name in names}, "seen": RECIPE_TASKS[names[-1]]},
        },
        "tasks": {name: {} for name in names},
        "teacher": {
            "modalities": ["rgb", "seen"],
            "members": [{"family": "repseg", "width": 4}],
            "train": train,
        },
        "ensemble": {"maskings": 2, "scales": [1.0, 0.5], "vertical_flips": True},
        "student": {"name": "repseg", "width": 16},
        "distill": {"train": train},
        "evaluate": {"split": "val", "pictures": 1},
        "require": {"student_beats_baseline": False},
        # networks of two steps say nothing that INT8 must keep
        "export": {"quantize": {"frames": 4, "gate": {RECIPE_TASKS[n]["kind"]: 1e6 for n in names}}},
    }
    path = folder / "kinds.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def through_the_chain(folder: Path, names: list[str], tell) -> None:
    recipe = write_recipe(folder, names)
    done = tell("distill", recipe, "--out", folder / "runs")
    assert done.code == 0, done.err
    run = Path(done.found["run"])
    scores = json.loads((run / "result.json").read_text())["scores"]
    table = (run / "table.md").read_text()
    for row in ("single_all", "ensemble", "baseline", "student"):
        for name in names:
            primary = KINDS[RECIPE_TASKS[name]["kind"]].primary
            assert isinstance(scores[row][name][primary.name], float), (row, name)
            assert f"**{name}**" in table and KINDS[name].columns[primary.name][0] in table
    assert {f"{name}-val.png" for name in names} <= {path.name for path in (run / "pictures").iterdir()}

    out = folder / "bundle"
    done = tell("export", run, "--target", "jetson", "--out", out)
    assert done.code == 0, (done.found, done.err)
    bundle = open_bundle(out)
    for name in names:
        judged = {
            row["step"]
            for row in bundle.manifest.parity
            if row["task"] == name and KINDS[name].primary.name in row["metric"]
        }
        assert judged == {"int8 onnxruntime", "int8 tensorrt", "val: fp32 onnxruntime", "val: int8 onnxruntime"}, name
        about = kind_of(next(t for t in bundle.manifest.tasks if t.name == name)).about(bundle.manifest.tasks[0])
        assert about

    for precision in ("fp32", "int8"):
        done = tell("verify", out, "--precision", precision, "--threads", "1")
        assert done.code == 0, done.found
        assert {check["output"] for check in done.found["checks"]} == {
            f"{name}_{KINDS[name].forms[0].name}" for name in names
        }

    frame = maps_of(99)["rgb"].repeat(3, axis=0).repeat(3, axis=1)  # large enough for a legend
    with load(out, precision="fp32", threads=1) as predictor:
        said = predictor.infer(frame)
        for task in predictor.tasks:
            kind_of(task).validate(task, said[task.name], "the answer")
            assert said[task.name].shape[:2] == frame.shape[:2]
            painted = overlay(frame, task, said[task.name])
            assert painted.shape == frame.shape and (painted != frame).any()

    done = tell("data", "convert", recipe, "--out", folder / "again")
    assert done.code == 0, done.err
    first = Dronescapes(
        DronescapesConfig(root=Path("data"), labels=names, tasks={n: MapConfig(**RECIPE_TASKS[n]) for n in names}),
        folder,
    )
    again = Dronescapes(DronescapesConfig(root=Path("again")), folder)
    for split in ("train", "val"):
        assert len(again.frames(split)) == len(first.frames(split)) > 0
        for one, other in zip(first.frames(split), again.frames(split), strict=True):
            before, after = first.read(one, ["rgb", *names]), again.read(other, ["rgb", *names])
            assert set(before) == set(after) == {"rgb", *names}
            for name in before:
                assert first.tasks[name] == again.tasks[name]
                np.testing.assert_allclose(after[name], before[name], atol=2e-3, rtol=1e-3)


def test_every_own_kind_goes_through_the_whole_chain(tmp_path, tell):
    assert set(OWN) == set(RECIPE_TASKS) - {"drift"}, "a new kind needs a row in RECIPE_TASKS and a map in maps_of"
    through_the_chain(tmp_path, OWN, tell)


def test_a_kind_of_another_package_goes_through_the_whole_chain(drift, tmp_path, tell):
    through_the_chain(tmp_path, ["semantic", "drift"], tell)


def test_another_version_of_a_kind_is_no_stage_of_this_one(drift, tmp_path, monkeypatch):
    recipe = load_recipe(Recipe, write_recipe(tmp_path, ["semantic", "drift"]))

    def key() -> str:
        return Workbench.open(recipe, tmp_path, tmp_path / "runs", tmp_path / "log").data_key

    before = key()
    assert before == key()
    (info,) = tmp_path.glob("site-*/*.dist-info/METADATA")
    info.write_text(info.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert key() != before


def test_the_gate_judges_a_kind_of_another_package_by_its_own_limit(drift):
    task = Task("t", "drift")
    assert holds(judge([task], {"t": {"epe": 0.1}}, {"t": {"epe": 0.39}}))
    assert not holds(judge([task], {"t": {"epe": 0.1}}, {"t": {"epe": 0.9}}))


def test_a_head_that_cannot_make_a_form_is_told_before_anything_trains(drift, tmp_path, tell, monkeypatch):
    monkeypatch.delattr(type(HEADS["drift"]), "motion_nodes")
    done = tell("recipe", "check", write_recipe(tmp_path, ["semantic", "drift"]))
    assert done.code == 2 and "no method 'motion_nodes'" in done.found["error"]["what"]


@pytest.mark.parametrize("lacking", [{"primary": None}, {"forms": ()}, {"columns": {}}])
def test_a_kind_that_could_not_be_judged_or_exported_is_no_class(lacking):
    with pytest.raises(TypeError, match="Half needs forms, and a primary metric"):
        type("Half", (type(KINDS["depth"]),), lacking)


def test_a_package_that_is_not_installed_is_no_kind():
    with pytest.raises(EdgekitError, match="unknown kind of task 'drift'") as error:
        kind_of(Task("t", "drift"))
    assert "semantic" in error.value.fix


@pytest.mark.parametrize("name", RECIPE_TASKS)
def test_both_halves_know_the_same(name, drift):
    """What one half declares the other answers: forms, answers of teachers from elsewhere, turns and zooms."""
    task = MapConfig(**RECIPE_TASKS[name]).task(name)
    kind, head, native = KINDS[name], HEADS[name], maps_of(3)[name]
    for form in kind.forms:
        assert callable(getattr(head, f"{form.name}_nodes")), form.name
    assert kind.form_names[-1] == "logits" and kind.primary.name in kind.columns
    assert kind.primary.limit > 0 and kind.about(task)
    soft = torch.from_numpy(kind.encode(task, native).transpose(2, 0, 1)[None])
    np.testing.assert_allclose(
        kind.restore(task, kind.store(task, soft[0].permute(1, 2, 0).numpy(), "full", 3)),
        soft[0].permute(1, 2, 0).numpy(),
        atol=5e-3,
    )
    for turn, zoom in (((-1.0, 1.0), 1.0), ((1.0, -1.0), 1.0), ((1.0, 1.0), 0.5), ((-1.0, -1.0), 1.25)):
        ours = kind.reorient_soft(task, soft[0].permute(1, 2, 0).numpy(), np.diag(turn), zoom)
        theirs = head.reorient(task, soft, turn, zoom)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    answer = head.native_answer or head.answers(task)[0]
    said = torch.from_numpy(np.atleast_3d(native).transpose(2, 0, 1)[None].copy())
    found = ExternalOutput(task, OutputConfig(form=answer), "here").soft(said, SIZE)
    np.testing.assert_allclose(kind.decode(task, found[0].numpy()), native, rtol=1e-4)
