"""kill -9 at random moments of every stage: run again, the student is that of an unbroken run, to the last bit.

The moments are drawn from a seed that is printed; ``EDGEKIT_KILL_SEED=123`` draws them again. (What a moment hits
depends on the machine's speed too.)
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from edgekit.students.student import load_student

STAGES = ("teacher 1", "teacher 2", "targets", "student", "baseline", "evaluation")
ROUNDS = 4

# Steps make the stages long enough to be hit; a checkpoint after every one makes writes a large part of each.
LONGER = [
    *("--set", "teacher.train.steps=40", "--set", "distill.train.steps=40"),
    *("--set", "teacher.train.checkpoint_every=0.000001", "--set", "distill.train.checkpoint_every=0.000001"),
    *("--set", "ensemble.maskings=3", "--set", "ensemble.scales=[1.0, 1.5, 2.0]"),
]


def states(root: Path) -> dict[str, bool]:
    """Stage that has begun, by what a run has left on disk → whether it is done; some are under way at once."""
    folders = sorted((root / "stages").glob("*-*")) if (root / "stages").is_dir() else []
    begun = {f.name: f.stat().st_ctime_ns for f in folders}
    teachers = sorted((f for f in folders if f.name.startswith("teacher-")), key=lambda f: begun[f.name])
    named = {f"teacher {i}": f for i, f in enumerate(teachers, 1)}
    named |= {f.name.split("-")[0]: f for f in folders if not f.name.startswith("teacher-")}
    found = {stage: (named[stage] / "done.json").exists() for stage in STAGES[:-1] if stage in named}
    if len(found) == len(STAGES) - 1 and all(found.values()):
        found["evaluation"] = any(root.glob("tiny-*/result.json"))
    return found


def under_way(root: Path) -> list[str]:
    return [stage for stage, done in states(root).items() if not done]


def writes(root: Path) -> bool:
    """Whether a file is half-written, or was when the run was killed."""
    return any(root.glob("stages/*/.part-*")) or any(root.glob("stages/*/*/.part-*"))


def times_of(nursery, recipe: Path, root: Path) -> dict[str, float]:
    """Run unbroken; the seconds that each stage was under way."""
    pid = nursery.start("distill", recipe, "--out", root, *LONGER)
    spent, last = Counter(), time.monotonic()
    while not any(root.glob("tiny-*/result.json")):
        now = time.monotonic()
        for stage in under_way(root):
            spent[stage] += now - last
        last = now
        time.sleep(0.01)
    assert nursery.code(pid) == 0
    return spent


def kill_within(nursery, recipe: Path, root: Path, stage: str, delay: float | None) -> list[str]:
    """Run until ``delay`` seconds into ``stage``, then kill -9; what was hit, nothing where the run had ended.

    Without a delay: as soon as something is being written.
    """
    pid = nursery.start("distill", recipe, "--out", root, *LONGER)
    deadline = time.monotonic() + 60
    while nursery.alive(pid) and time.monotonic() < deadline and stage not in states(root):
        time.sleep(0.01)
    time.sleep(delay or 0)
    while delay is None and nursery.alive(pid) and not writes(root):
        pass
    going = under_way(root)
    os.kill(pid, signal.SIGKILL)
    return going if nursery.code(pid) == -signal.SIGKILL else []


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_killed_anywhere_and_run_again_the_student_is_the_same(photographs, nursery, tmp_path, capsys):
    seed = int(os.environ.get("EDGEKIT_KILL_SEED") or random.SystemRandom().randrange(10**6))
    rng, began = random.Random(seed), time.monotonic()
    recipe, unbroken = photographs / "tiny.yaml", tmp_path / "unbroken"
    spent = times_of(nursery, recipe, unbroken)
    expected = {name: load_student(next(unbroken.glob(f"tiny-*/{name}.pt"))) for name in ("student", "baseline")}
    hits, told, kills, halves = Counter(), [f"seed {seed}"], 0, 0
    for number in range(ROUNDS):
        root = tmp_path / f"round-{number}"
        for stage in STAGES:
            delays = [rng.uniform(0, 0.9 * spent[stage])]
            if stage in ("teacher 1", "student"):
                delays.append(None)
            for delay in delays:
                hit = kill_within(nursery, recipe, root, stage, delay)
                hits.update(hit)
                kills += bool(hit)
                halves += writes(root)
                when = "at a write" if delay is None else f"{delay:.3f} s"
                left = "a half-written file" if writes(root) else "whole files"
                told.append(f"round {number}: {when} into {stage}: killed in {' and '.join(hit)}, leaving {left}")
        assert nursery.code(nursery.start("distill", recipe, "--out", root, *LONGER)) == 0, told
        for name, student in expected.items():
            found = load_student(next(root.glob(f"tiny-*/{name}.pt"))).state_dict()
            for key, value in student.state_dict().items():
                assert torch.equal(found[key], value), (name, key, told)
        assert not list(root.rglob(".part-*")) and not list(root.rglob("checkpoint.pt")), told
    with capsys.disabled():
        print("", *told, f"{kills} kills, {dict(hits)}, {time.monotonic() - began:.0f} s", sep="\n")
    assert kills >= 20 and set(hits) >= set(STAGES) and halves, told
