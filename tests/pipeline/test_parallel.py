"""Networks trained at once are the networks trained one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from edgekit.errors import EdgekitError
from edgekit.pipeline import parallel
from edgekit.pipeline.parallel import BASELINE, STUDENT, train_at_once
from edgekit.pipeline.run import Run, distill_run
from edgekit.pipeline.stages import baseline_stage, teacher_stage
from edgekit.pipeline.training import distil_student
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.training.checkpoint import load_checkpoint


def run_of(photographs: Path, root: Path, *overrides: str) -> Run:
    run = Run.of(load_recipe(Recipe, photographs / "tiny.yaml", overrides), photographs, root)
    run.begin()
    run.bench()  # as in `distill`, which checks the data before anything trains
    return run


def trained(bench) -> list[dict]:
    stages = [teacher_stage(bench, 0), teacher_stage(bench, 1), baseline_stage(bench)]
    states = [load_checkpoint(s.folder / "network.pt")["state"] for s in stages if s.result()]
    return [*states, distil_student(bench)[0].state_dict()]


def test_the_networks_are_the_same_as_one_after_the_other(photographs, tmp_path, capfd):
    apart, together = run_of(photographs, tmp_path / "apart"), run_of(photographs, tmp_path / "together")
    distill_run(apart, jobs=1)
    jobs = [STUDENT, ("teacher", "0", "1"), ("teacher", "1", "1"), BASELINE]
    train_at_once(together.folder, jobs, at_once=2, threads=1, after={STUDENT: jobs[1:3]})
    done = capfd.readouterr().err
    expected, found = trained(apart.bench()), trained(together.bench())
    assert "distilled student" not in capfd.readouterr().err  # it was there already
    assert len(found) == len(expected) == 4
    for one, other in zip(expected, found, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    for title in ("teacher 1/2", "teacher 2/2", "labels-only student", "distilled student"):
        assert f"{title}: 4/4" in done


def test_a_workers_refusal_is_raised_here(photographs, tmp_path):
    run = run_of(photographs, tmp_path, "teacher.train.learning_rate=1e30", "teacher.train.warmup=0")
    with pytest.raises(EdgekitError, match="not finite at step"):
        train_at_once(run.folder, [("teacher", "0", "1")], at_once=1, threads=1)


def test_a_worker_that_is_killed_is_said_to_be(photographs, tmp_path):
    run = run_of(photographs, tmp_path, "teacher.train.steps=100000")
    worker = parallel._Worker(run.folder, ("teacher", "0", "1"), 1, parallel.view_for(sys.stderr))
    worker._process.kill()
    worker._process.wait()
    with pytest.raises(EdgekitError, match="was killed") as caught:
        worker.check()
    assert "--jobs 1" in caught.value.fix


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a worker asks Linux to tell it of its parent's death")
def test_workers_end_with_a_parent_that_is_killed(photographs, tmp_path):
    run = run_of(photographs, tmp_path, "teacher.train.steps=100000")
    script = (
        "from pathlib import Path; from edgekit.pipeline.parallel import train_at_once;"
        "jobs = [('teacher', i, '1') for i in '01'];"
        f"train_at_once(Path({str(run.folder)!r}), jobs, at_once=2, threads=1)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, env=environment)
    log = run.folder / "log.jsonl"
    for _ in range(600):
        if log.exists() and "teacher" in log.read_text():
            break
        time.sleep(0.1)
    workers = subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True).stdout.split()
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(300):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            break
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert list((run.folder.parent / "stages").glob("teacher-*/checkpoint.pt")), "no checkpoint was left"


def test_a_student_that_is_left_has_the_threads_of_an_unbroken_run(photographs, tmp_path, monkeypatch):
    """Sums in two threads round differently from sums in one: going on must not change the student."""
    run = run_of(photographs, tmp_path)
    started = []

    def note(folder, jobs, **how):
        started.append((list(jobs), how["threads"]))
        train_at_once(folder, jobs, **how)

    monkeypatch.setattr("edgekit.pipeline.run.train_at_once", note)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    distill_run(run)
    student = next(iter(tmp_path.glob("stages/student-*")))
    (student / "done.json").unlink()
    before = (student / "network.pt").read_bytes()
    distill_run(run)
    assert started[0] == ([("teacher", "0", "1"), ("teacher", "1", "1"), STUDENT, BASELINE], 1)
    assert started[1:] == [([STUDENT], 1)]
    assert (student / "network.pt").read_bytes() == before
