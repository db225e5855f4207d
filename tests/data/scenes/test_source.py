from __future__ import annotations

import math
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import ValidationError

from edgekit.data.scenes import Scenes, ScenesConfig
from edgekit.data.scenes.store import STORED
from edgekit.errors import EdgekitError

# Seed and size are those of the shared scene, which its frames are compared with.
SMALL = {"seed": 3, "size": (80, 144), "scenes": {"train": 1, "val": 1, "test": 0}, "frames_per_scene": 3}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Scenes:
    """A source whose train scene lies in the cache."""
    config = ScenesConfig(**SMALL | {"scenes": {"train": 1, "val": 0, "test": 0}})
    source = Scenes(config, tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("cache"))
    reports = []
    assert source.prepare(progress=lambda done, total: reports.append((done, total))) == 3
    assert reports == [(1, 3), (2, 3), (3, 3)]
    return source


def test_unknown_keys_and_bad_values_are_refused():
    for bad in (
        {"sede": 1},
        {"scenes": {"train": 0}},
        {"labelled": 1.5},
        {"size": (160, 8)},
        {"scenes": {"dev": 1}},
        *(
            {"camera": camera}
            for camera in (
                {"tilt": 3},
                {"roll": 41},
                {"pitch": (-19, -34)},
                {"pitch": (-61, -20)},
                {"altitude": (10, 50)},
            )
        ),
    ):
        with pytest.raises(ValidationError):
            ScenesConfig(**bad)


def test_only_what_decides_a_pixel_names_the_cache():
    base = ScenesConfig()
    assert base.fingerprint() == ScenesConfig(labelled=0.1, frames_per_scene=7).fingerprint()
    assert base.fingerprint() != ScenesConfig(seed=1).fingerprint()
    assert base.fingerprint() == ScenesConfig(camera={"roll": 2.5}).fingerprint()
    assert base.fingerprint() != ScenesConfig(camera={"roll": 2.6}).fingerprint()
    assert base.fingerprint() != ScenesConfig(size=(80, 144)).fingerprint()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1 / 3, 0.9, 1.0])
def test_labelled_frames_are_spread_evenly_over_train_only(tmp_path, share):
    source = Scenes(ScenesConfig(labelled=share, frames_per_scene=20), tmp_path, tmp_path)
    train = source.frames("train")
    assert [f.labelled for f in train] == [math.floor(i * share) != math.floor((i - 1) * share) for i in range(120)]
    assert abs(sum(f.labelled for f in train) - share * 120) <= 1
    assert all(f.labelled for split in ("val", "test") for f in source.frames(split))


def test_frames_are_named_by_scene_and_scenes_are_of_one_split(tmp_path):
    source = Scenes(ScenesConfig(), tmp_path, tmp_path)
    frames = [f for split in source.splits() for f in source.frames(split)]
    assert (frames[12].name, frames[12].scene, frames[12].index) == ("train-0/00012", "train-0", 12)
    assert len({f.name for f in frames}) == len(frames) == 400
    assert all(f.scene.startswith(f.split) for f in frames)
    assert Scenes(ScenesConfig(**SMALL), tmp_path, tmp_path).splits() == ("train", "val")


def test_task_table(source):
    experts = ["simulated_segmentation_a", "simulated_segmentation_b", "simulated_depth", "simulated_normals"]
    assert list(source.tasks) == ["rgb", "semantic", "depth", "normals", *experts, "thermal"]
    semantic = source.tasks["semantic"]
    assert len(semantic.classes) == len(semantic.colours) == len(semantic.weights) == 8
    assert sum(semantic.weights) == pytest.approx(1.0)
    assert semantic.classes[4] == "little-objects" and semantic.colours[7] == (127, 127, 63)


def test_read_gives_what_was_rendered_to_stored_precision(source, scene):
    """The worker process (one OpenCV thread) and this one (all threads) must agree to the bit."""
    frame = source.frames("train")[1]
    rendered = scene.frame(1)
    read = source.read(frame, [*source.tasks, "unheard_of"])
    assert set(read) == set(source.tasks)
    for name, array in read.items():
        assert array.dtype == rendered[name].dtype
        np.testing.assert_array_equal(array, rendered[name].astype(STORED.get(name, array.dtype)).astype(array.dtype))
    np.testing.assert_array_equal(np.isnan(read["depth"]), read["semantic"] == 6)
    np.testing.assert_array_equal(source.flow(frame), rendered["flow"].astype(np.float16).astype(np.float32))


def test_frames_of_a_cache_without_thermal_are_rendered_again_where_it_is_asked_for(source):
    frame = source.frames("train")[0]
    whole = source.read(frame, ["rgb", "thermal"])
    path = source._path(frame)
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files if name != "thermal"}
    np.savez(path, **kept)
    before = path.stat().st_mtime_ns
    np.testing.assert_array_equal(source.read(frame, ["rgb"])["rgb"], whole["rgb"])
    assert path.stat().st_mtime_ns == before  # who does not ask pays nothing
    np.testing.assert_array_equal(source.read(frame, ["thermal"])["thermal"], whole["thermal"])


def test_last_frame_has_no_flow(source):
    assert source.flow(source.frames("train")[-1]) is None


def test_damaged_and_missing_frames_are_rendered_again(source):
    frames = source.frames("train")
    paths = [source.folder / f"{frame.name}.npz" for frame in frames]
    whole = [path.read_bytes() for path in paths]
    paths[0].write_bytes(whole[0][: len(whole[0]) // 2])
    flipped = bytearray(whole[1])
    flipped[len(flipped) // 3] ^= 0xFF
    paths[1].write_bytes(flipped)
    paths[2].unlink()
    for frame, path, data in zip(frames, paths, whole, strict=True):
        source.read(frame, source.tasks)
        with zipfile.ZipFile(path) as ours:
            assert ours.testzip() is None
        assert path.stat().st_size == len(data)
    assert not list(source.folder.rglob(".part-*"))
    assert source.prepare() == 0


def test_reading_from_many_threads_renders_a_missing_frame_right(source):
    frame = source.frames("train")[2]
    expected = source.read(frame, ["rgb"])["rgb"]
    (source.folder / f"{frame.name}.npz").unlink()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: source.read(frame, ["rgb"])["rgb"], range(6)))
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_a_renderer_that_dies_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("edgekit.data.scenes.prepare.sys.executable", "false")
    with pytest.raises(EdgekitError, match="rendering the procedural scenes failed"):
        Scenes(ScenesConfig(**SMALL), tmp_path, tmp_path).prepare()


def test_an_error_in_the_progress_report_stops_the_rendering(tmp_path, monkeypatch):
    def stop(done, total):
        raise KeyboardInterrupt

    echo = "import sys; [print('done', flush=True) for line in sys.stdin]"
    start = subprocess.Popen
    pretend = lambda command, **how: start([sys.executable, "-c", echo], **how)  # noqa: E731
    monkeypatch.setattr("edgekit.data.scenes.prepare.subprocess.Popen", pretend)
    with pytest.raises(KeyboardInterrupt):
        Scenes(ScenesConfig(**SMALL), tmp_path, tmp_path).prepare(progress=stop)


def test_train_frames_lie_spaced_along_the_flight_and_films_do_not(tmp_path):
    counts = {"train": 3, "val": 2, "test": 4}
    source = Scenes(ScenesConfig(spacing=5, frames_per_scene=counts), tmp_path, tmp_path)
    steps = {split: [f.index for f in source.frames(split) if f.scene == f"{split}-1"] for split in counts}
    assert steps == {"train": [0, 5, 10], "val": [0, 1], "test": [0, 1, 2, 3]}
    assert len(source.frames("train")) == 6 * 3


def test_a_spaced_frame_is_that_step_of_the_flight(tmp_path, scene):
    few = SMALL | {"scenes": {"train": 1, "val": 0, "test": 0}, "frames_per_scene": 2, "spacing": 2}
    source = Scenes(ScenesConfig(**few), tmp_path, tmp_path)
    assert source.prepare() == 2
    later = source.frames("train")[1]
    np.testing.assert_array_equal(source.read(later, ["semantic"])["semantic"], scene.frame(2)["semantic"])
    assert source.flow(later) is None and source.flow(source.frames("train")[0]) is None


def test_files_hold_plain_arrays(source):
    with np.load(next(source.folder.rglob("*.npz")), allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
