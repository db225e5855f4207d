"""Processes that train together: the student of one process, shared work, and no hanging when one of them dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from edgekit.students.student import load_student

IN_TWO = [*("--set", "teacher.train.micro_batches=2"), *("--set", "distill.train.micro_batches=2")]
BATCHES = [*("--set", "teacher.train.batch_size=4"), *("--set", "distill.train.batch_size=4")]
# cutmix and colours draw from the random stream of the batch
RANDOM = [*("--set", "distill.train.augment.cutmix=0.5"), *("--set", "distill.train.augment.colour=0.2")]
ENDLESS = [*("--set", "teacher.train.steps=100000"), *("--set", "teacher.train.checkpoint_every=0.2")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_two(nursery, folder: Path, *arguments: object, **more: str) -> list[int]:
    """As torchrun starts them: two processes that meet at a port."""
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), **more}
    return [
        nursery.start(
            *arguments,
            env={**meet, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            out=folder / f"out-{rank}",
            err=folder / f"err-{rank}",
        )
        for rank in range(2)
    ]


def said(folder: Path) -> list[str]:
    return [(folder / f"{stream}-{rank}").read_text() for stream in ("out", "err") for rank in range(2)]


def student(root: Path, name: str = "student") -> dict[str, torch.Tensor]:
    return load_student(next(root.glob(f"tiny-*/{name}.pt"))).state_dict()


@pytest.fixture(scope="module")
def together(nursery, photographs, tmp_path_factory) -> Path:
    """What two processes made."""
    folder = tmp_path_factory.mktemp("together")
    options = (*BATCHES, *RANDOM, "--json")
    codes = [
        nursery.code(p)
        for p in start_two(nursery, folder, "distill", photographs / "tiny.yaml", "--out", folder / "runs", *options)
    ]
    assert codes == [0, 0], said(folder)
    return folder


def test_two_processes_make_the_student_that_one_makes_of_the_same_micro_batches(together, tell, photographs, tmp_path):
    alone = tell("distill", photographs / "tiny.yaml", "--out", tmp_path, *BATCHES, *RANDOM, *IN_TWO)
    assert alone.code == 0, alone.err
    for name in ("student", "baseline"):
        for key, value in student(tmp_path, name).items():
            torch.testing.assert_close(student(together / "runs", name)[key], value, rtol=1e-4, atol=1e-5)
    whole = tell("distill", photographs / "tiny.yaml", "--out", tmp_path / "whole", *BATCHES, *RANDOM)
    other = student(tmp_path / "whole")
    assert any(not torch.allclose(v, other[k], rtol=1e-3) for k, v in student(tmp_path).items()), whole.err


def test_the_stages_are_those_of_one_process_with_as_many_micro_batches(together, tell, photographs, tmp_path):
    """So what two processes began, one can go on with."""
    runs = together / "runs"
    before = sorted(p.name for p in (runs / "stages").iterdir())
    one = tell("distill", photographs / "tiny.yaml", "--out", runs, *BATCHES, *RANDOM, *IN_TWO)
    assert one.code == 0 and sorted(p.name for p in (runs / "stages").iterdir()) == before
    assert "teacher 1/2:" not in one.err and "targets:" not in one.err


def test_they_share_the_targets_and_only_the_first_speaks_and_evaluates(together):
    out, silent_out, err, silent_err = said(together)
    assert '"scores"' in out and silent_out == "" and silent_err == ""
    assert "targets: 4/4" in err and "evaluating student" in err  # 8 frames in all
    assert len(list(together.glob("runs/stages/targets-*/train/*.npz"))) == 8


def wait_until(holds, seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_other_ends_and_says_so(nursery, photographs, tmp_path, victim):
    pids = start_two(nursery, tmp_path, "distill", photographs / "tiny.yaml", "--out", tmp_path / "runs", *ENDLESS)
    try:
        assert wait_until(lambda: any(tmp_path.glob("runs/stages/teacher-*/checkpoint.pt"))), said(tmp_path)
        os.kill(pids[victim], signal.SIGKILL)
        assert wait_until(lambda: not nursery.alive(pids[1 - victim])), "the other one hangs"
    finally:
        for pid in pids:
            if nursery.alive(pid):
                os.kill(pid, signal.SIGKILL)
    assert nursery.code(pids[victim]) == -signal.SIGKILL
    assert nursery.code(pids[1 - victim]) == 2
    message = (tmp_path / f"err-{1 - victim}").read_text()
    assert "lost the others at: teacher 1/2" in message and "run the same command again" in message
    assert "Traceback" not in message


def test_processes_that_were_told_different_things_end(nursery, photographs, tmp_path):
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    pids = []
    for rank, width in enumerate((16, 32)):
        env = {**meet, "RANK": str(rank), "LOCAL_RANK": str(rank), "EDGEKIT_WAIT_MINUTES": "0.5"}
        options = ("--out", tmp_path / "runs", "--set", f"student.width={width}")
        pids.append(
            nursery.start("distill", photographs / "tiny.yaml", *options, env=env, err=tmp_path / f"err-{rank}")
        )
    assert [nursery.code(p) for p in pids] == [2, 2]
    first, other = ((tmp_path / f"err-{rank}").read_text() for rank in range(2))
    assert "process 1" in other and "differs from process 0 in: run" in other
    assert "lost the others at" in first


@pytest.mark.slow
def test_one_that_hangs_is_not_waited_for_without_end(nursery, photographs, tmp_path):
    options = ("--out", tmp_path / "runs", *ENDLESS)
    pids = start_two(nursery, tmp_path, "distill", photographs / "tiny.yaml", *options, EDGEKIT_WAIT_MINUTES="0.5")
    try:
        assert wait_until(lambda: any(tmp_path.glob("runs/stages/teacher-*/checkpoint.pt"))), said(tmp_path)
        os.kill(pids[1], signal.SIGSTOP)
        assert wait_until(lambda: not nursery.alive(pids[0])), "it waits for ever"
    finally:
        os.kill(pids[1], signal.SIGKILL)
    assert [nursery.code(pid) for pid in pids] == [2, -signal.SIGKILL]
    message = (tmp_path / "err-0").read_text()
    assert "lost the others at: teacher 1/2" in message and "is the longest wait (0.5)" in message


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "edgekit", "distill"]


@pytest.mark.slow
def test_under_torchrun_a_killed_process_ends_the_run_and_the_next_start_resumes(photographs, tmp_path):
    options = ("--set", "teacher.train.steps=60", "--set", "teacher.train.checkpoint_every=0.05", "--json")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(root: Path) -> list[str]:
        port = ("--master-port", str(free_port()))
        return [*TORCHRUN[:3], *port, *TORCHRUN[3:], str(photographs / "tiny.yaml"), "--out", str(root), *options]

    with open(tmp_path / "err", "w") as err:
        run = subprocess.Popen(command(tmp_path / "a"), stdout=subprocess.DEVNULL, stderr=err, env=environment)
        assert wait_until(lambda: any(tmp_path.glob("a/stages/teacher-*/checkpoint.pt")))
        workers = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True).stdout.split()
        os.kill(int(workers[-1]), signal.SIGKILL)
        assert run.wait(120) != 0
    again = subprocess.run(command(tmp_path / "a"), capture_output=True, text=True, env=environment)
    assert again.returncode == 0, again.stderr
    assert "continues" in again.stderr
    unbroken = subprocess.run(command(tmp_path / "b"), capture_output=True, text=True, env=environment)
    assert unbroken.returncode == 0, unbroken.stderr
    expected, found = student(tmp_path / "b"), student(tmp_path / "a")
    assert all(torch.equal(found[key], value) for key, value in expected.items())
