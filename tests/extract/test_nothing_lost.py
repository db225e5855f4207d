"""Keys, failures, kills and shards: what is made again, and what is not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.extract import run as run_module
from edgekit.extract.films import Film
from edgekit.extract.status import status
from edgekit.teachers.external.teacher import ExternalTeacher


def states(work):
    """Task -> inode and time of every file of it: what was written again has others."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for path in work.out.glob("*/*/*.npz"):
        found.setdefault(path.parent.name, {})[path.stem] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def changed(before, after):
    """Tasks of which some file is another."""
    return {task for task in after if before.get(task) != after[task]}


@pytest.mark.parametrize(
    ("old", "new", "tasks"),
    [
        ("seg_b: [house, tree]}, least: 1", "seg_b: [house]}, least: 1", {"built", "built(nearby)", "safe-landing"}),
        ("window: 5", "window: 7", {"normals_svd(depth)", "safe-landing"}),
        ("within: 0.5", "within: 0.4", {"built(nearby)"}),
        ("seg_b.onnx, inputs: [{std: [255]}]", "seg_b.onnx, inputs: [{std: [254]}]",
         {"seg_b", "built", "built(nearby)", "semantic_output", "unsure", "safe-landing"}),
        ("batch: 3", "batch: 2", set()),
        ("hsv: {computed: hsv}", "hsv: {computed: lab}", {"hsv"}),
        ("flow: {derive: flow_dis, of: rgb}", "lab: {computed: lab}", {"lab"}),
    ],
)  # fmt: skip
def test_a_changed_key_redoes_its_task_and_what_needs_it(work, old, new, tasks):
    work.run()
    before = states(work)
    assert old in work.tasks
    work.tasks = work.tasks.replace(old, new)
    done = work.run()
    assert changed(before, states(work)) == tasks == set(done.written)


def test_what_was_redone_is_what_a_new_run_makes(work):
    work.run()
    for old, new in (("window: 5", "window: 7"), ("[house, tree]}, least: 1", "[house]}")):
        work.tasks = work.tasks.replace(old, new)
        work.run()
    work.run(work.base / "fresh")
    assert work.tree() == work.tree(work.base / "fresh")


def test_other_weights_under_the_same_name_redo_what_they_said(work):
    work.run()
    before = states(work)
    (work.base / "depth.onnx").write_bytes((work.base / "depth.onnx").read_bytes() + b"")
    assert work.run().written == {}
    import onnx

    model = onnx.load(work.base / "depth.onnx")
    model.doc_string = "other"
    onnx.save(model, work.base / "depth.onnx")
    work.run()
    assert changed(before, states(work)) == {"depth", "normals_svd(depth)", "built(nearby)", "safe-landing"}


def test_a_new_film_does_its_own_frames_alone(work, film, frames_of):
    work.run()
    before = states(work)
    film(work.base / "c.mp4", frames_of(3, seed=5))
    work.sets = "{train_set: [c.mp4, a.mp4], semisupervised_set: [b.mp4]}"
    done = work.run()
    assert done.written["rgb"] == done.written["depth"] == 3
    after = states(work)
    assert {t: {n: s for n, s in files.items() if not n.startswith("c_")} for t, files in after.items()} == before


def test_a_film_that_was_exchanged_is_done_again(work, film, frames_of, spelled, stored):
    work.run()
    film(work.base / "a.mp4", frames_of(20, seed=9)[12:17])
    done = work.run()
    assert done.written["rgb"] == 5 and done.kept["rgb"] == 3
    assert [spelled(stored(work.out, "train_set", "rgb", f"a_{i:06d}")) for i in range(5)] == [12, 13, 14, 15, 16]


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "gone"])
def test_a_damaged_file_is_found_and_made_again(work, damage):
    work.run()
    whole = work.tree()
    for task in ("depth", "seg_a", "rgb", "safe-landing"):
        path = work.out / f"train_set/{task}/a_000003.npz"
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-7])
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "foreign":
            np.savez(path.with_suffix(""), np.zeros((48, 96), np.uint8))
        else:
            path.unlink()
    done = work.run()
    assert done.written == {"depth": 1, "seg_a": 1, "rgb": 1, "safe-landing": 1}
    assert work.tree() == whole


def test_a_file_that_is_damaged_inside_is_found_when_it_is_needed(work):
    work.run()
    whole = work.tree()
    path = work.out / "train_set/depth/a_000003.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    (work.out / "train_set/normals_svd(depth)/a_000003.npz").unlink()
    done = work.run()
    assert [(f.frame, f.task) for f in done.failed] == [("a_000003", "depth")] and "damaged" in done.failed[0].what
    assert work.run().written == {"depth": 1, "normals_svd(depth)": 1}
    assert work.tree() == whole


# Failures

EXPERT = """
import torch

def opened(fail, most=99):
    def network(x):
        numbers = ((x[:, :, 4:12, 2:94:8].mean(dim=(1, 2)) > 127) * 2 ** torch.arange(12)).sum(dim=1).tolist()
        if set(numbers) & set(fail) or len(numbers) > most:
            raise RuntimeError(f"cannot look at {sorted(set(numbers) & set(fail))}")
        return x[:, :1] / 255
    return network
"""


@pytest.fixture
def moody(work, monkeypatch):
    """An expert in the user's Python, which fails for frames 2 and 4 of a film."""
    (work.base / "moody_expert.py").write_text(EXPERT)
    monkeypatch.syspath_prepend(str(work.base))
    monkeypatch.setenv("EDGEKIT_ALLOW_CODE", "1")
    monkeypatch.delitem(sys.modules, "moody_expert", raising=False)
    work.tasks = """
    bright:
      expert: {kind: torch, function: "moody_expert:opened", arguments: {fail: [2, 4]}}
      output: {task: {kind: depth}}
      batch: 4
    normals: {derive: plane_normals, of: bright}
    """
    yield work
    sys.modules.pop("moody_expert", None)


def test_a_frame_that_fails_is_noted_and_the_others_go_on(moody):
    done = moody.run()
    failed = [(f.film, f.frame, f.task) for f in done.failed]
    assert failed == [("a", "a_000002", "bright"), ("a", "a_000004", "bright"), ("b", "b_000002", "bright")]
    assert "cannot look at [2]" in done.failed[0].what
    assert done.written == {"rgb": 8, "bright": 5, "normals": 5}
    again = moody.run()  # not tried again
    assert again.written == {} and sorted(f.frame for f in again.failed) == [frame for _, frame, _ in failed]


def test_what_failed_is_tried_again_when_asked_or_when_its_key_changes(moody):
    moody.run()
    again = moody.run(retry_failed=True)
    assert len(again.failed) == 3 and again.written == {}
    moody.tasks = moody.tasks.replace("fail: [2, 4]", "fail: [4]")
    changed_key = moody.run()
    assert [f.frame for f in changed_key.failed] == ["a_000004"]
    assert changed_key.written == {"bright": 7, "normals": 7}
    (moody.base / "moody_expert.py").write_text(EXPERT.replace("if set", "if 0 and set"))
    sys.modules.pop("moody_expert")
    assert moody.run().failed == []
    assert not list((moody.out / ".edgekit/failed").rglob("*.json"))


def test_a_batch_that_is_too_large_is_halved(moody):
    moody.tasks = moody.tasks.replace("fail: [2, 4]", "fail: [], most: 2")
    done = moody.run()
    assert done.failed == [] and done.written["bright"] == 8


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        EdgekitError("the ONNX teacher cannot run: bad_alloc"),
    ],
)
def test_after_a_lack_of_memory_no_frame_of_a_longer_chunk_is_left_out(moody, film, frames_of, monkeypatch, error):
    """Beside an expert of larger batches the rest of a chunk is more than one batch of the lowered size."""
    real, sizes = ExternalTeacher.answers, []

    def answers(self, infos, *others):
        if "bright" in self.tasks:
            sizes.append(len(infos))
            if len(infos) > 2:
                raise error
        return real(self, infos, *others)

    monkeypatch.setattr(ExternalTeacher, "answers", answers)
    bright = moody.tasks[: moody.tasks.index("    normals")].replace("fail: [2, 4]", "fail: []")
    moody.tasks = bright + bright.replace("bright:", "wide:").replace("batch: 4", "batch: 8")
    moody.sets = "{train_set: [c.mp4]}"
    film(moody.base / "c.mp4", frames_of(8))
    done = moody.run()
    assert done.written == {"rgb": 8, "bright": 8, "wide": 8} and done.failed == []
    assert status(moody.out).complete and sizes == [4, 2, 2, 2, 2]


def test_what_a_failed_batch_held_is_free_before_its_halves_are_tried(moody, monkeypatch):
    """On a GPU the halves would not find the memory; and no later batch is tried at the size that failed."""
    real, held, sizes, alive = ExternalTeacher.answers, [], [], []

    def answers(self, infos, *others):
        alive.append(sum(reference() is not None for reference in held))
        activations = np.zeros(8)
        held.append(weakref.ref(activations))
        sizes.append(len(infos))
        if len(infos) > 2:
            raise MemoryError
        return real(self, infos, *others)

    monkeypatch.setattr(ExternalTeacher, "answers", answers)
    moody.tasks = moody.tasks.replace("fail: [2, 4]", "fail: []")
    done = moody.run()
    assert done.failed == [] and done.written["bright"] == 8
    assert sizes[0] > 2 and max(sizes[1:]) <= 2 and sum(sizes[1:]) == 8 and set(alive) == {0}


def test_a_film_that_ends_early_gives_the_frames_before_its_end(work, film, frames_of):
    film(work.base / "cut.avi", frames_of(40, seed=4))
    whole = (work.base / "cut.avi").read_bytes()
    (work.base / "cut.avi").write_bytes(whole[: len(whole) // 2])
    work.sets, work.tasks = "{train_set: [cut.avi, a.mp4]}", "\n    hsv: {computed: hsv}"
    for _ in range(2):  # said again, though not decoded again
        done = work.run()
        assert [(f.film, f.frame, f.task) for f in done.failed] == [("cut", "", "rgb")]
    names = [p.stem for p in (work.out / "train_set/hsv").glob("cut_*")]
    assert 5 < len(names) < 35 and len(list((work.out / "train_set/hsv").glob("a_*"))) == 5
    (work.base / "cut.avi").write_bytes(whole)
    assert work.run().failed == []
    assert len(list((work.out / "train_set/hsv").glob("cut_*"))) == 40


# Kills and shards


class Killed(BaseException):
    """As sudden as a kill, in this process."""


def test_a_run_that_is_killed_at_any_file_continues_to_the_same_tree(work, monkeypatch):
    whole = work.base / "whole"
    work.run(whole)
    rng, write = random.Random(0), run_module.write_map
    for _ in range(4):
        left = rng.randrange(1, 30)

        def dies(path, stored, key):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            write(path, stored, key)

        monkeypatch.setattr(run_module, "write_map", dies)
        with pytest.raises(Killed):
            work.run()
    monkeypatch.setattr(run_module, "write_map", write)
    work.run()
    assert work.tree() == work.tree(whole)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_shards_in_any_order_make_the_same_tree(work, monkeypatch, order):
    monkeypatch.setattr(run_module, "_BLOCK", 2)
    whole = work.base / "whole"
    work.run(whole)
    frames = [work.run(shard=(index, 3)).frames for index in order]
    assert sum(frames) == 8 and min(frames) > 0
    assert work.tree() == work.tree(whole)
    assert work.run(shard=(1, 3)).written == {}


def started(work) -> subprocess.Popen:
    command = [sys.executable, "-m", "edgekit", "data", "extract", str(work.pipeline), "--out", str(work.out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_kill_9_gives_the_same_tree(work, film, frames_of):
    film(work.base / "a.mp4", frames_of(20, seed=2))
    whole = work.base / "whole"
    work.run(whole)
    rng, total, kills = random.Random(1), 13 * 23, 0
    for i in range(20):
        enough = total * (i + rng.random()) / 20
        process = started(work)
        while process.poll() is None and sum(1 for _ in work.out.glob("*/*/*.npz")) < enough:
            time.sleep(0.01)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills >= 15
    work.run()
    assert work.tree() == work.tree(whole)
    assert not [p for p in Path(work.out).rglob(".part-*") if os.path.isdir(p)]


def test_predictions_of_a_new_film_redo_no_other_film(work, monkeypatch):
    """Predictions on disk are of films: those that come for one say nothing of another."""

    def predict(film: str, count: int, value: int) -> None:
        for i in range(count):
            path = work.base / f"predicted/seg/{film}_{i:06d}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, np.full((48, 96), value, np.uint8))

    work.tasks = """
    seg:
      expert: {kind: npz, folders: [predicted], missing: skip}
      output: {task: {kind: semantic, classes: [x, y, z]}}
    seg_a:
      expert: {kind: onnx, file: seg_a.onnx}
      output: {form: logits, task: {kind: semantic, classes: [a, b, c, d]}}
    built: {derive: vote, of: [seg, seg_a], members: {seg: [y], seg_a: [b]}, least: 1}
    """
    predict("a", 5, 1)
    assert work.run().written == {"rgb": 8, "seg": 5, "seg_a": 8, "built": 5}
    before = states(work)
    with monkeypatch.context() as patch:
        patch.setattr(Film, "shots", None)  # no film is decoded for predictions that are not there
        assert work.run().written == {}
    predict("b", 3, 2)
    assert work.run().written == {"seg": 3, "built": 3}
    assert {n: s for n, s in states(work)["built"].items() if n.startswith("a_")} == before["built"]
    assert all(cell.done == cell.frames for film in status(work.out).cells.values() for cell in film.values())
    predict("a", 1, 0)  # one prediction is another now: its film is made again, and no other
    assert work.run().written == {"seg": 5, "built": 5}
    assert all(cell.done == cell.frames for film in status(work.out).cells.values() for cell in film.values())
    assert work.run().written == {}
