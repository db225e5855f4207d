"""Writing the layout from other sources, read back by a reader that knows nothing of edgekit."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from edgekit.data.dronescapes import Dronescapes, DronescapesConfig, writer
from edgekit.data.dronescapes.writer import write_dronescapes
from edgekit.data.frameset import FrameSet
from edgekit.data.image_folder import ImageFolder, ImageFolderConfig
from edgekit.data.scenes import Scenes, ScenesConfig
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import is_whole_zip
from edgekit.frames.images import write_png


def independent_reader(folder: Path, classes: int = 8) -> dict[str, dict[str, np.ndarray]]:
    """{frame: {task: map in memory}} of one set, from the published description of the layout and numpy alone."""
    frames: dict[str, dict[str, np.ndarray]] = {}
    for task in (d for d in folder.iterdir() if d.is_dir() and not d.name.startswith(".")):
        inside = [p for p in task.iterdir() if not p.name.startswith(".")]
        found = [f for part in inside for f in part.glob("*.npz")] if all(p.is_dir() for p in inside) else inside
        found = [f for f in found if f.suffix == ".npz" and not f.name.endswith("_extra.npz")]
        assert found, f"{task} is empty"
        for file in found:
            data = np.load(file, allow_pickle=False)["arr_0"]
            data = data.astype(np.float32) if np.issubdtype(data.dtype, np.floating) else data
            if task.name.startswith(("semantic", "simulated_segmentation")) and data.dtype in (np.uint8, np.uint16):
                data = np.eye(classes, dtype=np.float32)[data]
            elif task.name.startswith("depth"):
                data = data.clip(0, 300)
            assert data.ndim == 3 or data.dtype == bool, (task.name, data.shape)
            frames.setdefault(file.stem, {})[task.name] = data
    return frames


@pytest.fixture(scope="module")
def world(cache_folder) -> FrameSet:
    config = ScenesConfig(
        seed=5, size=(32, 48), scenes={"train": 1, "val": 1, "test": 0}, frames_per_scene=3, labelled=0.5
    )
    source = Scenes(config, Path(), cache_folder)
    source.prepare(processes=1)
    return FrameSet(source)


@pytest.fixture
def photographs(tmp_path) -> FrameSet:
    """Six labelled photographs with pixels without a label; no scenes in their names."""
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            rng = np.random.default_rng(i)
            rgb = rng.integers(0, 256, (8, 10, 3)).astype(np.uint8)
            label = rng.choice(np.array([0, 1, 2], np.uint8), (8, 10))
            write_png(tmp_path / "p" / split / "images" / f"{split}{i}.png", rgb)
            write_png(tmp_path / "p" / split / "labels" / f"{split}{i}.png", label)
    config = ImageFolderConfig(root="p", class_names=["nothing", "roof", "grass"], ignore=["nothing"])
    return FrameSet(ImageFolder(config, tmp_path))


def refusal(action, *args, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args, **options)
    return caught.value


def test_an_independent_reader_finds_the_same_frames_tasks_and_values(world, tmp_path):
    out = tmp_path / "out"
    done = write_dronescapes(world, list(world.source.tasks), out, labels=["semantic"])
    assert done.frames == {"train_set": 2, "semisupervised_set": 1, "validation_set": 3}
    assert done.written == 6 * 9 and done.kept == 0 and not done.bad
    assert done.bytes == sum(p.stat().st_size for p in out.rglob("*.npz"))
    for split, sets in {"train": ["train_set", "semisupervised_set"], "val": ["validation_set"]}.items():
        read = {stem: maps for name in sets for stem, maps in independent_reader(out / name).items()}
        frames = {f.name.replace("/", "_"): f for f in world.source.frames(split)}
        assert set(read) == set(frames)
        for stem, maps in read.items():
            native = world.source.read(frames[stem], world.source.tasks)
            assert set(maps) == set(native)
            np.testing.assert_array_equal(maps["rgb"], native["rgb"])
            np.testing.assert_array_equal(maps["semantic"].argmax(-1), native["semantic"])
            np.testing.assert_array_equal(
                maps["simulated_segmentation_a"].argmax(-1), native["simulated_segmentation_a"]
            )
            np.testing.assert_array_equal(maps["depth"][..., 0], np.minimum(native["depth"], 300))
            np.testing.assert_array_equal(maps["simulated_depth"][..., 0], native["simulated_depth"])
            np.testing.assert_allclose(2 * maps["normals"] - 1, native["normals"], atol=1e-3)
            np.testing.assert_allclose(2 * maps["simulated_normals"] - 1, native["simulated_normals"], atol=1e-3)
    assert (out / "semisupervised_set" / "rgb").is_dir()


def test_edgekit_reads_back_what_it_wrote(world, tmp_path):
    write_dronescapes(world, list(world.source.tasks), tmp_path / "out", labels=["semantic", "depth", "normals"])
    back = Dronescapes(DronescapesConfig(root="out"), tmp_path)
    assert back.tasks == world.source.tasks and back.sequential and back.splits() == ("train", "val")
    for split in back.splits():
        before, after = world.source.frames(split), back.frames(split)
        assert {(f.name.replace("/", "_"), f.scene, f.labelled) for f in before} == {
            (f.name, f.scene, f.labelled) for f in after
        }
    (frame,) = [f for f in back.frames("val") if f.index == 1]
    (original,) = [f for f in world.source.frames("val") if f.index == 1]
    found, expected = back.read(frame, back.tasks), world.source.read(original, world.source.tasks)
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], atol=1.5e-3)


def test_pixels_without_a_label_and_scenes_without_a_name_survive(photographs, tmp_path):
    write_dronescapes(photographs, ["rgb", "semantic", "hsv"], tmp_path / "out", labels=["semantic"])
    read = independent_reader(tmp_path / "out" / "train_set", classes=2)
    back = Dronescapes(DronescapesConfig(root="out"), tmp_path)
    assert not back.sequential
    for frame in photographs.source.frames("train"):
        label = photographs.read(frame, ["semantic"])["semantic"]
        assert (label == 255).any()
        scores = read[frame.name]["semantic"]
        assert np.isnan(scores[label == 255]).all()
        np.testing.assert_array_equal(scores[label != 255].argmax(-1), label[label != 255])
        (copy,) = [f for f in back.frames("train") if f.name == frame.name]
        assert copy.scene == frame.scene == "train" and copy.labelled
        np.testing.assert_array_equal(back.read(copy, ["semantic"])["semantic"], label)
        np.testing.assert_allclose(back.read(copy, ["hsv"])["hsv"], photographs.read(frame, ["hsv"])["hsv"], atol=1e-3)


def test_missing_tasks_stay_missing(photographs, tmp_path):
    (tmp_path / "p" / "val" / "labels" / "val1.png").unlink()
    (tmp_path / "p" / "val" / "labels" / "val0.png").unlink()
    source = ImageFolder(ImageFolderConfig(root="p", class_names=["nothing", "roof", "grass"], labelled=0.5), tmp_path)
    done = write_dronescapes(FrameSet(source), ["rgb", "semantic"], tmp_path / "out", labels=["semantic"])
    assert done.frames == {"train_set": 2, "semisupervised_set": 2, "validation_set": 2} and done.written == 8
    assert not (tmp_path / "out" / "validation_set" / "semantic").exists(), "an empty folder stops the public reader"
    assert not (tmp_path / "out" / "semisupervised_set" / "semantic").exists()


def test_a_stopped_conversion_goes_on(photographs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(writer, "_WORKERS", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dronescapes(photographs, ["rgb", "semantic"], out, progress=stop)
    there = sorted(out.rglob("*.npz"))
    assert 4 <= len(there) < 12
    cut = there[0]
    cut.write_bytes(cut.read_bytes()[:50])  # as a power cut leaves it
    (out / "train_set" / "rgb" / ".part-abc").mkdir()  # as kill -9 leaves it
    (out / "train_set" / "rgb" / ".part-abc" / "train3.npz").write_bytes(b"half")
    times = {p: p.stat().st_mtime_ns for p in there if p != cut}
    done = write_dronescapes(photographs, ["rgb", "semantic"], out)
    assert done.kept == len(there) - 1 and done.written + done.kept == 12
    assert {p: p.stat().st_mtime_ns for p in times} == times and is_whole_zip(cut)
    assert not list(out.rglob(".part-*"))
    whole = write_dronescapes(photographs, ["rgb", "semantic"], tmp_path / "at once")
    assert whole.bytes == done.bytes
    for path in out.rglob("*.npz"):
        np.testing.assert_array_equal(
            np.load(path)["arr_0"], np.load(tmp_path / "at once" / path.relative_to(out))["arr_0"]
        )


def test_another_folder_is_asked_for(photographs, tmp_path):
    out = tmp_path / "out"
    write_dronescapes(photographs, ["rgb"], out)
    assert "another conversion" in refusal(write_dronescapes, photographs, ["rgb", "semantic"], out).what
    (tmp_path / "p" / "train" / "images" / "train0.png").touch()
    os.utime(tmp_path / "p" / "train" / "images" / "train0.png", ns=(5, 5))
    assert "changed" in refusal(write_dronescapes, photographs, ["rgb"], out).what
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    error = refusal(write_dronescapes, photographs, ["rgb"], tmp_path / "full")
    assert "thesis.tex" in error.what and "--out" in error.fix
    assert "cannot write" in refusal(write_dronescapes, photographs, ["rgb"], tmp_path / "full" / "thesis.tex").what


def test_two_conversions_into_one_folder(photographs, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert (
            "another conversion is writing" in refusal(write_dronescapes, photographs, ["rgb"], tmp_path / "out").what
        )
    assert write_dronescapes(photographs, ["rgb"], tmp_path / "out").written == 6


def test_a_bad_frame_stops_it_or_is_listed(photographs, tmp_path):
    bad = tmp_path / "p" / "train" / "images" / "train2.png"
    bad.write_bytes(bad.read_bytes()[:60])
    error = refusal(write_dronescapes, photographs, ["rgb"], tmp_path / "out")
    assert error.where == str(bad) and "on_bad_file" in error.fix
    done = write_dronescapes(photographs, ["rgb"], tmp_path / "out", on_bad_file="skip")
    assert [b.where for b in done.bad] == [str(bad)] and done.written + done.kept == 5


def test_a_full_disk_is_told_even_where_bad_files_are_skipped(photographs, tmp_path, monkeypatch):
    def full(file, array):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    error = refusal(write_dronescapes, photographs, ["rgb"], tmp_path / "out", on_bad_file="skip")
    assert "No space left" in error.what


def test_renaming_and_what_cannot_be_a_name(photographs, tmp_path):
    rename = {"semantic": "semantic_mine"}
    write_dronescapes(photographs, ["rgb", "semantic"], tmp_path / "out", labels=["semantic"], rename=rename)
    back = Dronescapes(DronescapesConfig(root="out"), tmp_path)
    assert set(back.tasks) == {"rgb", "semantic_mine"} and back.frames("train")[0].labelled
    for wrong in ({"semantic": "rgb"}, {"semantic": "a/b"}, {"semantic": ".a"}, {"sea": "see"}):
        refusal(write_dronescapes, photographs, ["rgb", "semantic"], tmp_path / "other", rename=wrong)
    assert "no 'sea'" in refusal(write_dronescapes, photographs, ["sea"], tmp_path / "other").what
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["left_extra", ".hidden"])
def test_a_name_that_readers_pass_by_is_refused(tmp_path, name):
    class Odd:
        sequential = False
        tasks = MappingProxyType({})

        def splits(self):
            return ("train",)

        def frames(self, split):
            return [FrameInfo(name, "s", 0, split, True)]

        def fingerprint(self):
            return ""

    assert "ignore the file" in refusal(write_dronescapes, FrameSet(Odd()), ["hsv"], tmp_path / "out").what


def test_a_damaged_description_is_told(photographs, tmp_path):
    write_dronescapes(photographs, ["rgb"], tmp_path / "out")
    for text in ("", "[]", "{}", '{"format": 2}', '{"format": 1, "tasks": {"rgb": {}}}', '{"format": 1, "tasks": 3}'):
        (tmp_path / "out" / "edgekit.json").write_text(text)
        error = refusal(Dronescapes, DronescapesConfig(root="out"), tmp_path)
        assert error.where.endswith("edgekit.json") and error.fix


@pytest.mark.parametrize("channels", [0, -(1 << 63), 513])
def test_a_description_of_impossible_channels_is_refused(photographs, tmp_path, channels):
    write_dronescapes(photographs, ["rgb"], tmp_path / "out")
    file = tmp_path / "out" / "edgekit.json"
    written = json.loads(file.read_text())
    written["tasks"]["rgb"]["channels"] = channels
    file.write_text(json.dumps(written))
    error = refusal(Dronescapes, DronescapesConfig(root="out"), tmp_path)
    assert f"1 to 512 channels, got {channels}" in error.what and error.where == str(file)


def test_a_description_that_calls_a_task_otherwise_than_its_folder_is_refused(photographs, tmp_path):
    write_dronescapes(photographs, ["rgb"], tmp_path / "out")
    file = tmp_path / "out" / "edgekit.json"
    written = json.loads(file.read_text())
    written["tasks"]["rgb"]["name"] = "rgbx"
    file.write_text(json.dumps(written))
    error = refusal(Dronescapes, DronescapesConfig(root="out"), tmp_path)
    assert "'rgb' is called 'rgbx'" in error.what and error.where == str(file) and error.fix
