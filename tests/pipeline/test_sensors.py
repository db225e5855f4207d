"""A student that sees more than rgb, and may lack some of it: from the recipe to the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import SCHEMA
from edgekit.frames.images import write_png
from edgekit.pipeline.run import Run
from edgekit.pipeline.targets import encode_inputs
from edgekit.students.student import load_student

SIZE = (64, 96)
NONE = "student.may_lack=[]"
MAPS = {
    "semantic": {"kind": "semantic", "classes": ["cold", "warm"]},
    "thermal": {"kind": "modality", "channels": 1, "range": [270.0, 330.0]},
    "near": {"kind": "modality", "channels": 2, "range": [0, 255]},
    "distance": {"kind": "depth", "range": [1.0, 100.0], "unit": "m"},
    "drift": {"kind": "modality", "channels": 2, "vector": True},
    "many": {"kind": "modality", "channels": 17},
}


def write_frame(folder: Path, name: str, seed: int, lacking: tuple[str, ...] = ()) -> None:
    """Warm squares on a cold ground: rgb hardly shows them, thermal does."""
    rng = np.random.default_rng(seed)
    label = np.zeros(SIZE, np.uint8)
    for _ in range(4):
        top, left = rng.integers(0, 48), rng.integers(0, 80)
        label[top : top + 16, left : left + 16] = 1
    grey = rng.normal(120 + 4.0 * label, 20)[..., None] + np.zeros(3)
    maps = {
        "rgb": np.clip(grey, 0, 255).astype(np.uint8),
        "semantic": label,
        "thermal": rng.normal(290 + 15.0 * label, 3)[..., None].astype(np.float16),
        "near": np.clip(rng.normal(90, 20, (*SIZE, 2)), 0, 255).astype(np.uint8),
        "distance": np.full((*SIZE, 1), 30, np.float16),
        "drift": np.ones((*SIZE, 2), np.float16),
        "many": np.ones((*SIZE, 17), np.float16),
    }
    for task, array in maps.items():
        if task not in lacking:
            (folder / task).mkdir(parents=True, exist_ok=True)
            np.savez(folder / task / f"{name}.npz", array)


@pytest.fixture(scope="session")
def sensors(tmp_path_factory) -> Path:
    """A folder with data of three sensors, and ``sensors.yaml``: a student of rgb, thermal and near infrared."""
    base = tmp_path_factory.mktemp("sensors")
    for i in range(6):
        write_frame(base / "data" / ("train_set" if i < 4 else "validation_set"), f"film_{i}", i)
    train = {"steps": 6, "batch_size": 2, "crop": [32, 48], "warmup": 1, "precision": "fp32", "workers": 1}
    train["augment"] = {"scale": [0.75, 1.5]}
    recipe = {
        "name": "sensors",
        "data": {"source": "dronescapes", "root": "data", "labels": ["semantic"], "tasks": MAPS},
        "tasks": {"semantic": {"class_balance": 0.0}},
        "teacher": {
            "modalities": ["near", "thermal", "rgb"],
            "members": [{"family": "repseg", "width": 8}],
            "train": train,
        },
        "ensemble": {"maskings": 2, "scales": [1.0]},
        "student": {
            "name": "repseg",
            "width": 8,
            "modalities": ["rgb", "thermal", "near"],
            "may_lack": ["thermal", "near"],
        },
        "distill": {"train": train},
        "evaluate": {"split": "val", "pictures": 2},
        "require": {"student_beats_baseline": False},
        # a network of a few steps says nothing that INT8 must keep
        "export": {"upsampling": "nearest", "quantize": {"frames": 4, "gate": {"semantic": 1e6}}},
    }
    (base / "sensors.yaml").write_text(yaml.safe_dump(recipe))
    return base


@pytest.fixture(scope="module")
def done(sensors, tell, tmp_path_factory):
    found = tell("distill", sensors / "sensors.yaml", "--out", tmp_path_factory.mktemp("runs"))
    assert found.code == 0, found.err
    return found


def test_the_table_scores_the_student_with_and_without(done):
    run = Path(done.found["run"])
    scores = json.loads((run / "result.json").read_text())["scores"]
    without = ["student without thermal", "student without near", "student without thermal, near"]
    assert [name for name in scores if name.startswith("student")] == ["student", *without]
    table = (run / "table.md").read_text()
    for name in without:
        assert f"| student, distilled, {name.removeprefix('student ')} |" in table
    values = [scores[name]["semantic"]["miou"] for name in ("student", *without)]
    assert len(set(values)) == 4  # each sees something else


def test_without_is_what_it_says_where_no_frame_has_the_modality(done, sensors):
    """Against the student itself, on frames whose thermal map is NaN by hand."""
    run = Run.open(Path(done.found["run"]))
    student, bench = load_student(run.folder / "student.pt"), run.bench()
    hits = {name: np.zeros(3) for name in ("cold", "warm")}
    for frame in bench.frames.frames("val"):
        inputs = encode_inputs(bench.frames, frame, ["rgb", "thermal", "near"])
        inputs["thermal"] *= torch.nan
        soft = student.predict(torch.cat(list(inputs.values()), dim=1), SIZE)["semantic"][0].numpy()
        label = bench.frames.read(frame, ["semantic"])["semantic"]
        for i, counts in enumerate(hits.values()):
            said, true = soft.argmax(0) == i, label == i
            counts += [(said & true).sum(), (said | true).sum(), 1]
    miou = np.mean([both / either for both, either, _ in hits.values()])
    assert done.found["scores"]["student without thermal"]["semantic"]["miou"] == pytest.approx(miou, abs=1e-6)


def test_what_is_hidden_depends_on_seed_and_step_alone(done, sensors, tell, tmp_path):
    """The same recipe in another folder gives the same student."""
    again = tell("distill", sensors / "sensors.yaml", "--out", tmp_path)
    one, other = (load_student(Path(found["student"])).state_dict() for found in (done.found, again.found))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["student.modalities=[rgb,infrared]", NONE], "the data has no 'infrared'"),
        (["student.modalities=[rgb,semantic]", NONE], "a modality of the student: it would see its answer"),
        (["student.modalities=[rgb,rgb]", NONE], "each modality once"),
        (["student.modalities=[rgb]", "student.may_lack=[thermal]"], "may_lack names thermal"),
        (["student.modalities=[rgb]", "student.may_lack=[rgb]"], "the student would see nothing"),
        (["student.modalities=[rgb,distance]", NONE], "'distance' is of the kind depth"),
        (["student.modalities=[rgb,drift]", NONE], "'drift' holds displacements"),
        (["student.modalities=[rgb,many]", NONE], "rgb, many have 20 channels together"),
        (["student.modalities=[rgb,edges]", NONE], "'edges' is computed from rgb"),
        (
            ["student.modalities=[thermal]", NONE, "student.name=lite"],
            "'lite' begins with weights that are for rgb",
        ),
    ],
)
def test_what_no_student_sees_is_refused_before_anything_is_read(sensors, tell, tmp_path, changes, told):
    options = [a for change in changes for a in ("--set", change)]
    found = tell("distill", sensors / "sensors.yaml", "--out", tmp_path, *options)
    assert found.code == 2 and told in found.found["error"]["what"], found.found
    assert not list(tmp_path.rglob("*.pt"))


def test_a_sensor_that_some_frames_lack_has_to_be_allowed_to(sensors, tell, tmp_path):
    for split, i in (("train_set", 7), ("validation_set", 8)):
        write_frame(tmp_path / "data" / split, f"film_{i}", i)
        write_frame(tmp_path / "data" / split, f"film_{i + 2}", i, lacking=("thermal",))
    recipe = tmp_path / "sensors.yaml"
    recipe.write_text((sensors / "sensors.yaml").read_text())
    allowed = tell("distill", recipe, "--out", tmp_path / "a")
    assert allowed.code == 0, allowed.found
    refused = tell("distill", recipe, "--out", tmp_path / "b", "--set", "student.may_lack=[near]")
    assert refused.code == 2 and refused.found["error"]["what"].startswith("2 frames have no 'thermal'")
    assert "student.may_lack: [thermal]" in refused.found["error"]["fix"]


def test_a_student_that_does_not_see_rgb(sensors, tell, tmp_path):
    """The teachers see the modality that it starts from; nothing of it is called rgb."""
    found = tell("distill", sensors / "sensors.yaml", "--out", tmp_path, "--set", "student.modalities=[thermal]",
                 "--set", NONE)  # fmt: skip
    assert found.code == 0, found.found
    assert load_student(Path(found.found["student"])).in_channels == 1


@pytest.fixture(scope="module")
def bundle(done, tell, tmp_path_factory) -> Path:
    """Of the CPU's lane; `tests/engine/test_sensors_bundle.py` has the others."""
    out = tmp_path_factory.mktemp("bundle") / "sensors"
    found = tell("export", done.found["run"], "--out", out)
    assert found.code == 0 and found.found["holds"], (found.found, found.err)
    return out


@pytest.fixture(scope="module")
def trained(done):
    run = Run.open(Path(done.found["run"]))
    return load_student(run.folder / "student.pt"), run.bench()


def frames_of(bench) -> list[dict[str, np.ndarray]]:
    return [bench.frames.read(f, ["rgb", "thermal", "near"]) for f in bench.frames.frames("val")]


def by_hand(student, frame: dict[str, np.ndarray]) -> np.ndarray:
    """The classes (H, W) that the module decides on at 1/4, without what the frame lacks."""
    sizes = {"rgb": 3, "thermal": 1, "near": 2}
    maps = [frame.get(n, np.full(SIZE, np.nan)).reshape(*SIZE, -1) for n in sizes]
    maps = [m if m.shape[2] == c else m.repeat(c, 2) for m, c in zip(maps, sizes.values(), strict=True)]
    x = torch.from_numpy(np.concatenate(maps, axis=2).transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        return student(x)["semantic"][0].argmax(0).numpy().repeat(4, 0).repeat(4, 1)


def test_every_file_has_an_input_for_each_modality_of_its_own_type(bundle):
    manifest = open_bundle(bundle).manifest
    assert manifest.schema == SCHEMA and manifest.preprocessing.may_lack == ("thermal", "near")
    for artifact in manifest.artifacts:
        assert {t.name: (t.dtype, t.shape) for t in artifact.inputs} == {
            "frames": ("uint8", (1, *SIZE, 3)),
            "frames_thermal": ("float32", (1, *SIZE, 1)),
            "frames_near": ("uint8", (1, *SIZE, 2)),
        }


def test_the_predictor_says_what_the_student_says(bundle, trained):
    student, bench = trained
    with edgekit.load(bundle, precision="fp32", threads=1) as predictor:
        for frame in frames_of(bench):
            expected = by_hand(student, frame)
            assert (predictor.infer(frame)["semantic"] == expected).mean() > 0.999
            without = {name: array for name, array in frame.items() if name != "thermal"}
            lacking = predictor.infer(without)["semantic"]
            assert (lacking == by_hand(student, without)).mean() > 0.999
            nothing = frame | {"thermal": np.full(SIZE, np.nan, np.float32)}
            np.testing.assert_array_equal(predictor.infer(nothing)["semantic"], lacking)
            levels = {name: array for name, array in frame.items() if name != "near"}  # whole numbers: about the mean
            assert (predictor.infer(levels)["semantic"] == by_hand(student, levels)).mean() > 0.97
            coarse = frame | {"thermal": frame["thermal"][::2, ::2]}
            assert predictor.infer(coarse)["semantic"].shape == SIZE


def test_the_bundle_passes_its_golden_frames_in_integers_too(bundle, tell):
    for precision in ("fp32", "int8"):
        found = tell("verify", bundle, "--precision", precision)
        assert found.code == 0, found.found


def test_its_scores_are_with_and_without(bundle, trained):
    metrics = open_bundle(bundle).manifest.metrics
    without = [f"{p} without {m}" for m in ("thermal", "near", "thermal, near") for p in ("fp32", "int8")]
    assert list(metrics) == ["module", "fp32", "int8", *without]
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "fp32 without thermal" in card and "Frames may come without thermal, near" in card


def test_a_folder_of_photographs_is_enough_only_for_a_student_of_rgb(done, tell, tmp_path):
    write_png(tmp_path / "photos" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    words = ["export", done.found["student"], "--frames", tmp_path / "photos", "--out", tmp_path / "b"]
    student = load_student(Path(done.found["student"]))
    student.may_lack = ("near",)
    student.save(tmp_path / "s.pt")
    found = tell(words[0], tmp_path / "s.pt", *words[2:])
    assert found.code == 2 and "a folder of photographs has rgb alone" in found.found["error"]["what"]


def test_deepstream_gives_rgb_alone(done, tell, tmp_path):
    found = tell("export", done.found["run"], "--target", "jetson", "--deepstream", "--out", tmp_path / "b")
    assert found.code == 2 and "nvinfer gives a network rgb alone" in found.found["error"]["what"]
