"""The source behind `dronescapes`, on files that numpy wrote."""

from __future__ import annotations

import builtins
import os
import pickle
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import ValidationError

from edgekit.data.check import check_source
from edgekit.data.dronescapes import DronescapesConfig
from edgekit.data.dronescapes.published import LABELS
from edgekit.data.frameset import FrameSet
from edgekit.data.statistics import compute_statistics
from edgekit.data.values import judge_values
from edgekit.errors import EdgekitError
from edgekit.tasks import kind_of


@pytest.fixture
def root(tmp_path, write, maps):
    """Sets of all kinds; ``train_set`` in parts, ``validation_set`` as the first stage of the pipeline writes."""
    root = tmp_path / "data"
    train = [f"atanasie_DJI_0652_full_{i}" for i in range(9, 12)] + ["slanic_1", "slanic_2"]
    for i, frame in enumerate(train):
        part = dict.fromkeys(maps(i), f"part{i % 2}")
        write(root / "train_set", frame, maps(i), part)
    without = {k: v for k, v in maps(50).items() if k not in LABELS}
    write(root / "semisupervised_set", "herculane_4", without)
    write(root / "validation_set", "slanic_7", maps(60), dict.fromkeys(maps(60), "npz"))
    for i, frame in enumerate(("barsana_5", "comana_5", "norway_5")):
        write(root / "test_set_annotated_only", frame, maps(70 + i))
    return root


def refusal(action, *args, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args, **options)
    return caught.value


def test_frames_splits_scenes_and_labels(root, open_data):
    source = open_data()
    assert source.splits() == ("train", "val", "test")
    train = source.frames("train")
    assert [f.name for f in train] == [
        "atanasie_DJI_0652_full_9",  # in the order of the film, where text would put 10 before 9
        "atanasie_DJI_0652_full_10",
        "atanasie_DJI_0652_full_11",
        "slanic_1",
        "slanic_2",
        "herculane_4",
    ]
    assert [f.scene for f in train] == ["atanasie"] * 3 + ["slanic"] * 2 + ["herculane"]
    assert [f.labelled for f in train] == [True] * 5 + [False]
    assert [f.scene for f in source.frames("test")] == ["barsana", "comana", "norway"]
    assert len(source.tasks) == 17 and source.sequential and source.flow(train[0]) is None


def test_values_are_those_on_disk(root, open_data, maps):
    source = open_data()
    for seed, frame in enumerate(source.frames("train")[:5]):
        stored = maps(seed)
        read = source.read(frame, source.tasks)
        assert set(read) == set(stored)
        for name, array in read.items():
            kind_of(source.tasks[name]).validate(source.tasks[name], array, name)
            expected = stored[name].astype(np.float32) if stored[name].dtype == np.float16 else stored[name]
            if name.startswith("normals"):
                np.testing.assert_allclose(array, 2 * expected - 1, atol=2e-3)
            else:
                np.testing.assert_array_equal(array, expected.reshape(array.shape))
    (val,) = source.frames("val")
    np.testing.assert_array_equal(source.read(val, ["rgb"])["rgb"], maps(60)["rgb"])


def test_a_frame_whose_tasks_write_its_name_in_two_forms_is_one_frame(root, open_data, write, maps):
    for i, (name, array) in enumerate(maps(3).items()):
        write(root / "train_set", unicodedata.normalize(("NFC", "NFD")[i % 2], "müller_7"), {name: array})
    source = open_data()
    (frame,) = (f for f in source.frames("train") if f.scene == "müller")
    assert frame.name == "müller_7" and frame.labelled
    assert set(source.read(frame, source.tasks)) == set(maps(3)) == set(source.tasks)
    assert check_source(source).bad == [] and source.fingerprint()


def test_depth_in_millimetres_is_told(root, open_data, write, maps):
    name = "depth_sfm_manual202204"
    for path in (root / "train_set" / name).glob("*/*.npz"):
        np.savez(path, 1000 * np.load(path)["arr_0"].astype(np.float32))
    source = open_data()
    report = check_source(source, names=["rgb", name])
    assert report.values[name]["train"].least == report.values[name]["train"].most == 300  # as it is clipped
    error = refusal(judge_values, report, source.tasks, [name], "val")
    assert "upper end of their range, 300 m, in 100.0 %" in error.what and name in error.what


def test_a_task_may_be_missing_and_is_then_absent(root, open_data):
    (root / "train_set" / "depth_sfm_manual202204" / "part1" / "slanic_1.npz").rename(root / "elsewhere.npz")
    source = open_data()
    frame = next(f for f in source.frames("train") if f.name == "slanic_1")
    assert frame.labelled, "it has other labels"
    found = source.read(frame, ["rgb", "depth_sfm_manual202204", "semantic_segprop8"])
    assert set(found) == {"rgb", "semantic_segprop8"}
    report = check_source(source)
    assert report.missing["depth_sfm_manual202204"] == 2 and report.missing["rgb"] == 0
    assert report.splits["train"].frames == 6 and report.splits["train"].labelled == 5


def test_labels_of_an_unlabelled_set_are_never_read(root, open_data, write, maps):
    write(root / "semisupervised_set", "herculane_4", {"semantic_segprop8": maps(1)["semantic_segprop8"]})
    source = open_data()
    frame = source.frames("train")[-1]
    assert not frame.labelled and source.read(frame, ["semantic_segprop8"]) == {}
    trusted = open_data(unlabelled=[])
    frame = trusted.frames("train")[-1]
    assert frame.labelled and "semantic_segprop8" in trusted.read(frame, ["semantic_segprop8"])


def test_a_set_without_label_files_is_unlabelled(root, open_data, tmp_path):
    for name in LABELS:
        (root / "train_set" / name).rename(tmp_path / name)
    assert not any(f.labelled for f in open_data().frames("train"))
    assert all(f.labelled for f in open_data(labels=["buildings"]).frames("train")[:5])


def test_neighbours_are_frames_with_consecutive_numbers_of_one_film(root, open_data, write, maps):
    for frame in ("slanic_4", "slanic_DJI_5", "slanic_DJI_6"):
        write(root / "train_set", frame, {"rgb": maps(0)["rgb"]})
    index = {f.name: f.index for f in open_data().frames("train") if f.scene == "slanic"}
    steps = {
        (a, b): index[b] - index[a]
        for a, b in [
            ("slanic_1", "slanic_2"),
            ("slanic_2", "slanic_4"),
            ("slanic_4", "slanic_DJI_5"),
            ("slanic_DJI_5", "slanic_DJI_6"),
        ]
    }
    assert [step == 1 for step in steps.values()] == [True, False, False, True]


def test_side_files_and_hidden_ones_are_no_frames(root, open_data):
    for name in ("slanic_1_extra.npz", ".slanic_9.npz", "notes.txt"):
        (root / "train_set" / "rgb" / "part0" / name).write_bytes(b"x")
    (root / "train_set" / "rgb" / ".part-xyz").mkdir()
    (root / "train_set" / ".cache").mkdir()
    (root / "train_set" / "empty").mkdir()
    source = open_data()
    assert len(source.frames("train")) == 6 and "empty" not in source.tasks


def test_listing_opens_no_file_and_asks_the_system_about_none(root, open_data, monkeypatch):
    """Names alone: what makes 168,000 files a matter of a second. Folders may be asked about."""
    asked = []

    def watched(module, name):
        real = getattr(module, name)

        def call(path, *args, **options):
            if str(path).endswith(".npz"):
                asked.append((name, path))
            return real(path, *args, **options)

        monkeypatch.setattr(module, name, call)

    for module, name in ((os, "stat"), (os, "lstat"), (os, "open"), (builtins, "open")):
        watched(module, name)
    source = open_data()
    assert len(source.frames("train")) == 6 and asked == []
    source.fingerprint()
    assert asked, "the watch sees what it should"


def test_damaged_files_are_named(root, open_data, tmp_path):
    victim = root / "test_set_annotated_only" / "rgb" / "comana_5.npz"
    whole = victim.read_bytes()
    source = open_data()
    frame = source.frames("test")[1]
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damage in (whole[:100], b"", b"not a zip", flipped):
        victim.write_bytes(damage)
        error = refusal(source.read, frame, ["rgb"])
        assert error.where == str(victim) and "damaged" in error.what
    np.savez(victim, rgb=np.zeros((2, 2, 3), np.uint8))
    assert "arr_0" in refusal(source.read, frame, ["rgb"]).what
    victim.unlink()
    assert "gone" in refusal(source.read, frame, ["rgb"]).what


class Evil:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_nothing_in_a_file_is_executed(root, open_data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    victim = root / "test_set_annotated_only" / "rgb" / "comana_5.npz"
    source = open_data()
    frame = source.frames("test")[1]
    np.savez(victim, np.array([Evil()], dtype=object))
    assert "holds object" in refusal(source.read, frame, ["rgb"]).what
    victim.write_bytes(pickle.dumps(Evil()))
    refusal(source.read, frame, ["rgb"])
    assert not (tmp_path / "executed").exists()


def test_a_frame_without_rgb_is_bad(root, open_data, write, maps):
    write(root / "train_set", "slanic_3", {"buildings": maps(0)["buildings"]})
    error = refusal(check_source, open_data())
    assert "no rgb" in error.what and "slanic_3" in error.where
    report = check_source(open_data(), "skip")
    assert report.excluded() == {"slanic_3"} and report.splits["train"].frames == 6


def test_statistics_are_over_valid_pixels_of_the_frames_that_have_the_task(root, open_data, write, monkeypatch):
    depths = [
        np.array([[0.25, np.nan], [0.75, 0.5]], np.float16),
        np.array([[np.nan, np.nan], [1.0, np.nan]], np.float16),
    ]
    for i, depth in enumerate(depths):
        write(root / "few_set", f"scene_{i}", {"rgb": np.zeros((2, 2, 3), np.uint8), "depth_dpt": depth})
    for i in range(2, 300):
        write(root / "few_set", f"scene_{i}", {"rgb": np.zeros((2, 2, 3), np.uint8)})
    frames = FrameSet(open_data(splits={"train": ["few_set"]}))
    found = compute_statistics(frames, frames.frames("train")[1:], ["rgb", "depth_dpt"])
    assert found["depth_dpt"] == ([1.0], [1.0]), "the one valid pixel of the one frame, constant"
    (mean,), (deviation,) = compute_statistics(frames, frames.frames("train"), ["depth_dpt"])["depth_dpt"]
    valid = np.array([0.25, 0.75, 0.5])  # frame 1 is not among the 200 that are spread over the 300
    assert mean == pytest.approx(valid.mean()) and deviation == pytest.approx(valid.std())


def test_the_fingerprint_follows_files_tasks_and_labels(root, open_data):
    first = open_data().fingerprint()
    assert open_data().fingerprint() == first
    assert open_data(labels=["buildings"]).fingerprint() != first
    assert open_data(scene_regex="^[a-z]").fingerprint() != first
    path = root / "train_set" / "buildings" / "part1" / "slanic_1.npz"
    np.savez(path, ~np.load(path)["arr_0"])
    os.utime(path, ns=(1, 1))
    assert open_data().fingerprint() != first


def test_all_maps_at_another_size(root, open_data):
    source = open_data(size=(6, 10))
    read = source.read(source.frames("train")[0], source.tasks)
    assert {a.shape[:2] for a in read.values()} == {(6, 10)}
    for name, array in read.items():
        kind_of(source.tasks[name]).validate(source.tasks[name], array, name)


def test_reading_from_threads(root, open_data, maps):
    source = open_data()
    frames = source.frames("train")[:5] * 8
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda f: source.read(f, ["rgb"])["rgb"], frames))
    assert all(np.array_equal(array, maps(i % 5)["rgb"]) for i, array in enumerate(read))


def test_a_folder_nobody_describes_is_no_task_and_the_recipe_may_describe_it(root, open_data, write):
    write(root / "train_set", "slanic_1", {"semantic_mine": np.array([[0, 1]], np.uint8)})
    source = open_data()
    assert "semantic_mine" not in source.tasks and "data.tasks" in source.why_not("semantic_mine")
    assert source.why_not("nowhere") is None
    own = open_data(tasks={"semantic_mine": {"kind": "semantic", "classes": ["a", "b"], "weights": [0.5, 0.5]}})
    assert own.tasks["semantic_mine"].classes == ("a", "b")
    frame = next(f for f in own.frames("train") if f.name == "slanic_1")
    assert own.read(frame, ["semantic_mine"])["semantic_mine"].tolist() == [[0, 1]]


def test_the_same_name_in_two_splits_is_two_frames(root, open_data, write, maps):
    write(root / "validation_set", "slanic_1", {"rgb": maps(99)["rgb"]})
    source = open_data()
    val = next(f for f in source.frames("val") if f.name.endswith("slanic_1"))
    train = next(f for f in source.frames("train") if f.name.endswith("slanic_1"))
    assert val.name != train.name and val.scene == train.scene == "slanic"
    assert not np.array_equal(source.read(val, ["rgb"])["rgb"], source.read(train, ["rgb"])["rgb"])


def test_films_that_are_numbered_from_0_each_are_told_apart(open_data, tmp_path):
    """As VRE writes them: a folder per film, and the frames' numbers as names."""
    for film, count in (("north", 3), ("south", 12)):
        for number in range(count):
            path = tmp_path / "data" / film / "rgb" / "npz" / f"{number}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, np.full((4, 6, 3), 10 * number + (film == "south"), np.uint8))
    source = open_data(splits={"train": ["north", "south"]})
    frames = source.frames("train")
    assert [(f.scene, f.index) for f in frames] == [("north", i) for i in range(3)] + [("south", i) for i in range(12)]
    assert [f.name for f in frames][2:5] == ["north_2", "south_0", "south_1"]
    values = [int(source.read(f, ["rgb"])["rgb"][0, 0, 0]) for f in frames]
    assert values == [0, 10, 20, *(10 * i + 1 for i in range(12))]


def test_what_does_not_fit_is_told(root, open_data, write, maps, tmp_path):
    assert "does not exist" in refusal(open_data, splits={"train": ["train"]}).what
    assert "train_set" in refusal(open_data, splits={"train": ["train"]}).fix
    assert "no set has the folder" in refusal(open_data, labels=["labels"]).what
    assert "no set has the folder" in refusal(open_data, tasks={"x": {"kind": "binary"}}).what
    assert "no scene" in refusal(open_data, scene_regex="^[A-Z]+").what
    write(root / "train_set", "slanic_1", {"rgb": maps(0)["rgb"]}, {"rgb": "part1"})
    write(root / "train_set", "slanic_1", {"rgb": maps(0)["rgb"]}, {"rgb": "part0"})
    error = refusal(open_data)
    assert "slanic_1" in error.what and "twice" in error.what and error.where.endswith("rgb")
    write(root / "train_set_annotated_only", "slanic_2", {"rgb": maps(0)["rgb"]})
    (root / "train_set" / "rgb" / "part1" / "slanic_1.npz").unlink()
    both = {"train": ["train_set", "train_set_annotated_only"]}
    assert "slanic_2" in refusal(open_data, splits=both).what
    (tmp_path / "empty").mkdir()
    root.rename(tmp_path / "away")
    assert "does not exist" in refusal(open_data).what
    (tmp_path / "empty").rename(tmp_path / "data")
    assert "none of the sets" in refusal(open_data).what


@pytest.mark.parametrize(
    "config",
    [
        {"scene_regex": "("},
        {"splits": {"train": []}},
        {"splits": {"train": ["a"], "val": ["a"]}},
        {"tasks": {"x": {"kind": "semantic"}}},
        {"tasks": {"x": {"kind": "depth", "unit": "m"}}},
        {"tasks": {"x": {"kind": "semantic", "classes": ["a"], "weights": [1, 2]}}},
        {"tasks": {"x": {"kind": "picture"}}},
        {"sets": []},
    ],
)
def test_a_wrong_config_is_refused(config):
    with pytest.raises(ValidationError):
        DronescapesConfig(root="x", **config)
