"""What a run does when its disk, its memory, its numbers or its files fail it."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.distill.objective import StudentObjective
from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.pipeline.run import Run
from edgekit.students.student import load_student
from edgekit.training import loop
from edgekit.training.checkpoint import UNFINISHED, load_checkpoint, save_checkpoint
from edgekit.training.memory import enough_memory


def equal(a: Path, b: Path) -> bool:
    one, other = load_student(a).state_dict(), load_student(b).state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def change_a_number(path: Path) -> None:
    """Still JSON, and of the same form: only a checksum can tell."""
    text = path.read_text()
    at = next(i for i in range(text.index('"result"'), len(text)) if text[i] in "123456789")
    path.write_text(text[:at] + str((int(text[at]) % 9) + 1) + text[at + 1 :])


STORED = {
    "the check's report": ("check-*/done.json", change_a_number),
    "the statistics": ("statistics-*/done.json", change_a_number),
    "a teacher's marker": ("teacher-*/done.json", change_a_number),
    "a teacher": ("teacher-*/network.pt", flip_a_byte),
    "a target": ("targets-*/train/f3.npz", flip_a_byte),
    "the labels-only student": ("baseline-*/network.pt", flip_a_byte),
    "the student": ("student-*/network.pt", flip_a_byte),
}


@pytest.mark.parametrize("what", STORED)
def test_whatever_is_stored_and_damaged_is_told_and_made_again_the_same(copied, first, tell, what):
    pattern, damage = STORED[what]
    path = sorted((copied.root / "stages").glob(pattern))[0]
    whole = path.read_bytes()
    damage(path)
    assert path.read_bytes() != whole
    again = tell("distill", copied.run)
    assert again.code == 0 and "damaged" in again.err
    if path.suffix == ".json":
        assert json.loads(path.read_text())["files"] == json.loads(whole)["files"]
    else:
        assert sha256(path) == sha256(sorted((first.root / "stages").glob(pattern))[0])
    assert equal(copied.run / "student.pt", first.run / "student.pt")
    assert again.found["scores"] == first.found["scores"]


@pytest.mark.parametrize("damage", ["a byte", "another network"])
def test_a_damaged_checkpoint_is_told_and_training_starts_again(first, tell, tmp_path, monkeypatch, damage):
    steps = []
    real = loop.learning_rate

    def interrupting(step, config):
        steps.append(step)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(step, config)

    monkeypatch.setattr(loop, "learning_rate", interrupting)
    assert tell("distill", first.recipe, "--out", tmp_path).code == 130
    (state,) = tmp_path.glob(f"stages/teacher-*/{UNFINISHED}")
    assert load_checkpoint(state)["step"] == 3
    if damage == "another network":
        save_checkpoint(state, {"step": 3, "network": {"w": torch.ones(2)}})
    else:
        flip_a_byte(state)
    done = tell("distill", first.recipe, "--out", tmp_path)
    assert done.code == 0 and "training starts from step 0" in done.err
    assert steps[:7] == [0, 1, 2, 0, 1, 2, 3]
    assert equal(Path(done.found["student"]), first.run / "student.pt")


def mounted(folder: Path, *options: str) -> None:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts, or mounts again, a file system with these options; skips where that is not allowed."""
    if not shutil.which("mount"):
        pytest.skip("there is no mount command here")
    folder = tmp_path / "disk"
    there = []

    def mount(options: str) -> Path:
        mounted(folder, "-o", f"remount,{options}" if there else options)
        there.append(options)
        return folder

    yield mount
    if there:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", ["16k", "200k", "700k", "1500k"])
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(first, tell, small_disk, size):
    often = ("--set", "teacher.train.checkpoint_every=0.001", "--set", "distill.train.checkpoint_every=0.001")
    root = small_disk(f"size={size}")
    full = tell("distill", first.recipe, "--out", root, *often)
    assert full.code == 2 and "the disk is full" in full.found["error"]["what"], full.err
    assert full.found["error"]["where"].startswith(str(root)) and "Traceback" not in full.err
    small_disk("size=64m")
    done = tell("distill", first.recipe, "--out", root, *often)
    assert done.code == 0 and "damaged" not in done.err
    assert equal(Path(done.found["student"]), first.run / "student.pt")
    assert not list(root.rglob(".part-*"))


def test_a_folder_that_cannot_be_written_is_told(first, tell, small_disk):
    root = small_disk("size=64m")
    small_disk("ro")
    refused = tell("distill", first.recipe, "--out", root / "runs")
    assert refused.code == 2 and "cannot write" in refused.found["error"]["what"]
    assert "another place" in refused.found["error"]["fix"] and "Traceback" not in refused.err


@pytest.mark.parametrize("taken", ["stages", "stages/targets-", "pictures"])
def test_a_file_in_the_way_is_told(copied, tell, taken):
    if taken == "pictures":
        path = copied.run / "pictures"
        shutil.rmtree(path)
    else:
        path = next(copied.root.glob(f"{taken}*"))
        shutil.rmtree(path)
    path.write_text("")
    refused = tell("distill", copied.run)
    assert refused.code == 2 and "cannot write" in refused.found["error"]["what"], refused.err
    path.unlink()
    assert tell("distill", copied.run).code == 0


def test_two_runs_into_one_directory_are_kept_apart(copied, tell):
    with Run.open(copied.run).locked():
        refused = tell("distill", copied.run)
    assert refused.code == 2 and "another run is working in this directory" in refused.found["error"]["what"]
    assert f"process {os.getpid()}" in refused.found["error"]["what"]
    assert tell("distill", copied.run).code == 0


def test_a_changed_recipe_in_a_run_is_told(copied, tell):
    recipe = copied.run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("width: 16", "width: 32"))
    refused = tell("evaluate", copied.run)
    assert refused.code == 2 and "changed or damaged" in refused.found["error"]["what"]
    assert refused.found["error"]["where"] == str(recipe)


def test_numbers_that_stop_being_finite_are_told_with_stage_step_term_and_frames(first, tell, tmp_path, monkeypatch):
    real = StudentObjective.__call__

    def exploding(self, batch):
        terms = real(self, batch)
        return (
            {**terms, "semantic.soft": terms["semantic.soft"] * math.nan} if batch.step == 2 and batch.soft else terms
        )

    monkeypatch.setattr(StudentObjective, "__call__", exploding)
    often = ("--set", "distill.train.checkpoint_every=0.000001")
    stopped = tell("distill", first.recipe, "--out", tmp_path, *often)
    error = stopped.found["error"]
    assert stopped.code == 2 and "the loss is not finite at step 2" in error["what"]
    assert "semantic.soft nan" in error["what"] and error["what"].endswith("see semantic.soft")
    assert error["where"].startswith("distilled student, step 2, frames train/f")
    (stage,) = tmp_path.glob("stages/student-*")
    kept = load_checkpoint(stage / UNFINISHED)
    assert kept["step"] == 2 and all(torch.isfinite(v).all() for v in kept["network"].values())
    monkeypatch.undo()
    assert equal(
        Path(tell("distill", first.recipe, "--out", tmp_path, *often).found["student"]), first.run / "student.pt"
    )


def too_much(kind: str) -> None:
    """Really ask for more memory than any machine has, of each allocator there is here."""
    if kind == "torch":
        torch.empty(1 << 58)
    elif kind == "numpy":
        np.empty(1 << 58)
    else:  # no GPU is needed to raise what CUDA's allocator raises
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has …")


@pytest.mark.parametrize("kind", ["torch", "numpy", "cuda"])
def test_memory_that_runs_out_names_what_to_lower(first, tell, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(StudentObjective, "__call__", lambda self, batch: too_much(kind))
    stopped = tell("distill", first.recipe, "--out", tmp_path)
    error = stopped.found["error"]
    assert stopped.code == 2 and "out of memory training distilled student" in error["what"]
    assert "batches of 2 frames of 32×48" in error["what"] and "\n" not in error["what"]
    assert error["where"] == "distill.train.batch_size" and "distill.train.crop (32×48)" in error["fix"]


def test_memory_that_runs_out_in_the_ensemble_names_what_to_lower(first, tell, tmp_path, monkeypatch):
    shutil.copytree(first.root, tmp_path / "runs")
    for path in (tmp_path / "runs" / "stages").glob("targets-*/train/f1.npz"):
        path.unlink()
    monkeypatch.setattr("edgekit.teachers.multimodal.MultiModal.forward", lambda *a: too_much("torch"))
    stopped = tell("distill", first.recipe, "--out", tmp_path / "runs")
    assert stopped.code == 2 and "passes of the ensemble at once on a frame of 64×96" in stopped.found["error"]["what"]
    assert "lower ensemble.at_once (2)" in stopped.found["error"]["fix"]


def test_other_errors_pass_for_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), enough_memory("", "", ""):
        torch.zeros(3).view(2, 2)
    with pytest.raises(EdgekitError, match="a reason"), enough_memory("", "", ""):
        raise EdgekitError("a reason")
