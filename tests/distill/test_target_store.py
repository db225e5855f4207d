"""The target store: what was written comes back, and nothing else ever does."""

from __future__ import annotations

import io
import threading
import zipfile

import numpy as np
import pytest

from edgekit.data.batches import SoftMap
from edgekit.data.source import FrameInfo
from edgekit.distill.config import TargetsConfig
from edgekit.distill.targets import TargetStore
from edgekit.errors import EdgekitError
from edgekit.tasks import Task

TASKS = [Task("classes", "semantic", classes=tuple("abcde")), Task("depth", "depth"), Task("normals", "normals")]
FRAME = FrameInfo("scene/frame-0", "scene", 0, "train", True)


def targets(seed: int = 0) -> dict[str, SoftMap]:
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(4, 6, 3)).astype(np.float32)
    return {
        name: SoftMap(soft, rng.random((4, 6), dtype=np.float32))
        for name, soft in {
            "classes": rng.dirichlet(np.ones(5), (4, 6)).astype(np.float32),
            "depth": rng.random((4, 6, 1), dtype=np.float32),
            "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        }.items()
    }


def frame(i: int) -> FrameInfo:
    return FrameInfo(f"frame-{i}", "scene", i, "train", False)


def same(a: dict[str, SoftMap], b: dict[str, SoftMap]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[n].soft, b[n].soft) and np.array_equal(a[n].agreement, b[n].agreement) for n in a
    )


@pytest.fixture(params=["full", "topk", "argmax"])
def store(request, tmp_path) -> TargetStore:
    return TargetStore(tmp_path / "targets", TASKS, TargetsConfig(keep=request.param))


def fresh(store: TargetStore) -> TargetStore:
    """The same store in another process: nothing in memory."""
    return TargetStore(store.folder, store._tasks, store._config)


def test_what_was_written_comes_back(store):
    written = targets()
    store.write(FRAME, written)
    assert store.has(FRAME) and store.path(FRAME).stat().st_size > 0
    back = store.read(FRAME)
    assert list(back) == [t.name for t in TASKS]
    for name, target in back.items():
        assert target.soft.shape == written[name].soft.shape
        np.testing.assert_allclose(target.agreement, written[name].agreement, atol=1 / 255 + 1e-4)
    np.testing.assert_allclose(back["depth"].soft, written["depth"].soft, atol=1e-5)
    np.testing.assert_array_equal(back["classes"].soft.max(-1) > 0, True)
    assert same(fresh(store).read(FRAME), back) and same(store.read(FRAME), back)


def test_frames_do_not_mix(store):
    for i in range(3):
        store.write(frame(i), targets(i))
    other_split = FrameInfo("frame-0", "scene", 0, "val", True)
    assert not store.has(other_split)
    depths = [store.read(frame(i))["depth"].soft for i in range(3)]
    np.testing.assert_allclose(depths, [targets(i)["depth"].soft for i in range(3)], atol=1e-5)


def test_a_missing_target_is_named(store):
    assert not store.has(FRAME)
    with pytest.raises(EdgekitError, match="no target for frame 'scene/frame-0'") as caught:
        store.read(FRAME)
    assert caught.value.where == str(store.path(FRAME))


@pytest.mark.parametrize("change", ["empty", "half", "cut", "text", "grown", "folder"])
def test_a_damaged_file_is_noticed(store, change):
    store.write(FRAME, targets())
    path = store.path(FRAME)
    whole = path.read_bytes()
    if change == "folder":
        path.unlink()
        path.mkdir()
    else:
        damaged = {"empty": b"", "half": whole[: len(whole) // 2], "cut": whole[:-1], "text": b"not a zip file"}
        path.write_bytes(damaged.get(change, whole[:40] + b"more" + whole[40:]))
    assert not store.has(FRAME)
    with pytest.raises(EdgekitError, match=r"damaged|a folder") as caught:
        store.read(FRAME)
    assert caught.value.where == str(path)
    assert ("give a regular file" if change == "folder" else "delete") in caught.value.fix


def test_flipped_bits_are_noticed_or_harmless(store):
    store.write(FRAME, targets())
    good = fresh(store).read(FRAME)
    path = store.path(FRAME)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    noticed = 0
    for place in rng.integers(0, len(whole), 250):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            assert same(fresh(store).read(FRAME), good)
        except EdgekitError:
            noticed += 1
    assert noticed > 100


def test_a_header_that_lies_about_the_shape_is_noticed(tmp_path):
    """numpy would read the first rows and be content; the checksum of the whole member is not."""
    store = TargetStore(tmp_path, [Task("depth", "depth")], TargetsConfig())
    store.write(FRAME, {"depth": SoftMap(np.zeros((200, 60, 1), np.float32), np.ones((200, 60), np.float32))})
    path = store.path(FRAME)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    assert store.has(FRAME)
    assert np.load(io.BytesIO(members["depth/depth.npy"])).shape == (200, 60, 1)
    path.write_bytes(path.read_bytes().replace(b"(200, 60, 1)", b"(100, 60, 1)"))
    with np.load(path) as file:
        assert file["depth/depth"].shape == (100, 60, 1)
    assert not store.has(FRAME)


def test_other_tasks_than_were_stored_are_no_target(store):
    store.write(FRAME, targets())
    more = TargetStore(store.folder, [*TASKS, Task("water", "binary")], TargetsConfig())
    assert not more.has(FRAME)


def test_a_failed_write_leaves_the_old_target(store):
    store.write(FRAME, targets())
    good = store.read(FRAME)
    with pytest.raises(KeyError):
        store.write(FRAME, {"classes": targets()["classes"]})
    assert same(fresh(store).read(FRAME), good)
    assert [p.name for p in store.path(FRAME).parent.iterdir()] == ["frame-0.npz"]


def test_memory_is_bounded_and_reading_goes_on_beyond_it(tmp_path):
    one = sum(t.soft.nbytes + t.agreement.nbytes for t in targets().values())
    store = TargetStore(tmp_path, TASKS, TargetsConfig(), cache_bytes=int(2.5 * one))
    for i in range(5):
        store.write(frame(i), targets(i))
    first = [store.read(frame(i)) for i in range(5)]
    for i in range(5):
        store.path(frame(i)).unlink()
    assert [store.read(frame(i)) is first[i] for i in range(2)] == [True, True]
    for i in range(2, 5):
        with pytest.raises(EdgekitError, match="no target"):
            store.read(frame(i))


def test_many_threads_read_the_same_truth(store):
    for i in range(4):
        store.write(frame(i), targets(i))
    expected = [fresh(store).read(frame(i)) for i in range(4)]
    wrong: list[object] = []
    start = threading.Barrier(8)

    def work(k: int) -> None:
        try:
            start.wait()
            for n in range(20):
                i = (k + n) % 4
                if not same(store.read(frame(i)), expected[i]):
                    wrong.append(i)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
