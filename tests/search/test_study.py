"""A study by formula: what is dropped, what goes on, what continues."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError

pytest.importorskip("optuna")
import optuna

from edgekit.search.study import IDLE, rungs_of, trained

FAKE = Path(__file__).with_name("fake_study.py")
spec = importlib.util.spec_from_file_location("fake_study", FAKE)
fake = importlib.util.module_from_spec(spec)
sys.modules["fake_study"] = fake
spec.loader.exec_module(fake)


def test_what_is_over_the_budget_or_no_network_is_never_trained(tmp_path, monkeypatch):
    # What is drawn is another thing each time; with a seed both kinds are among it.
    monkeypatch.setattr(optuna.samplers, "TPESampler", partial(optuna.samplers.TPESampler, seed=0))
    study, calls, bar = fake.open_fake(tmp_path), [], fake.Bar()
    fake.search(study, calls=calls).run(12, bar)
    assert len(trained(study)) == 12 and bar.shown[-1] == 12
    assert calls and all(width <= 6 and seed < 8 for width, seed, _ in calls)
    left = Counter(t.user_attrs.get("why") for t in study.trials if not t.intermediate_values)
    assert left["over the budget"] and left["a seed of 8 makes no network"]
    assert study.best_trial.value == max(width + seed / 100 for width, seed, steps in calls if steps == 90)


def test_a_candidate_that_cannot_be_timed_is_left_and_a_device_that_fails_ends_the_search(tmp_path):
    class Odd(fake.Candidate):
        def cost(self):
            if self.width % 2:
                raise EdgekitError(f"no engine of width {self.width}")
            return super().cost()

    study = fake.open_fake(tmp_path)
    work = fake.search(study, build=lambda number, v: Odd(int(v["width"]), int(v["seed"])))
    for width in (1, 3, 2, 5, 7, 4):  # never three odd ones in a row
        study.enqueue_trial({"width": str(width), "seed": "1"})
    study.optimize(work._objective, n_trials=6)
    whys = [t.user_attrs.get("why") for t in study.trials if int(t.params["width"]) % 2]
    assert whys == [f"no engine of width {width}" for width in (1, 3, 5, 7)]
    assert len(study.trials) == 6 and len(trained(study)) == 2
    for width in (1, 3, 5):
        study.enqueue_trial({"width": str(width), "seed": "2"})
    with pytest.raises(EdgekitError, match="no engine of width 5"):
        work.run(20, fake.Bar())


def test_each_rung_trains_fewer_and_no_candidate_twice(tmp_path):
    calls = []
    fake.search(fake.open_fake(tmp_path), calls=calls).run(27, fake.Bar())
    rungs = Counter(steps for _, _, steps in calls)
    assert rungs[10] == 27 and rungs[10] > rungs[30] >= rungs[90] >= 1
    assert max(Counter(calls).values()) == 1
    # asynchronous halving (Li et al., 2020): each that went on was among the best third of those before it
    first = [width + seed / 100 for width, seed, steps in calls if steps == 10]
    for width, seed in {call[:2] for call in calls if call[2] == 30}:
        score = width + seed / 100
        before = first[: first.index(score) + 1]
        assert sum(other >= score for other in before) <= max(1, len(before) // 3)


def test_an_interrupted_candidate_is_taken_up_again(tmp_path):
    study, seen = fake.open_fake(tmp_path), []

    class Interrupted(fake.Candidate):
        def score(self, steps):
            seen.append((self.width, self.seed, steps))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fake.search(study, budget=8, build=lambda n, v: Interrupted(int(v["width"]), int(v["seed"]))).run(3, fake.Bar())
    calls = []
    build = lambda n, v: fake.Candidate(int(v["width"]), int(v["seed"]), calls)  # noqa: E731
    fake.search(fake.open_fake(tmp_path), budget=8, build=build).run(3, bar := fake.Bar())
    assert calls[0] == seen[0] and bar.shown[0] == 0
    fake.search(fake.open_fake(tmp_path), budget=8, build=build).run(3, bar := fake.Bar())
    assert bar.shown == [3]  # nothing is left to do


def test_a_search_ends_where_nothing_new_is_drawn(tmp_path):
    study, bar = fake.open_fake(tmp_path), fake.Bar()
    work = fake.search(study, budget=0.5)
    work.run(1, bar)
    assert work.idle == IDLE == len(study.trials) and not trained(study)
    assert "brought nothing new within the budget" in bar.notes[0]


def test_what_fails_to_train_ends_the_search_and_leaves_the_study_whole(tmp_path):
    def broken(number, values):
        candidate = fake.Candidate(1, 1)
        candidate.score = lambda steps: (_ for _ in ()).throw(EdgekitError("the disk is full"))
        return candidate

    study = fake.open_fake(tmp_path)
    with pytest.raises(EdgekitError, match="the disk is full"):
        fake.search(study, build=broken).run(2, fake.Bar())
    fake.search(study).run(2, fake.Bar())
    assert len(trained(study)) == 2


def test_a_study_of_something_else_is_refused(tmp_path):
    fake.open_fake(tmp_path, budget="5 ms")
    for about in ({"budget": "4 ms"}, {"recipe": "other", "budget": "5 ms"}):
        with pytest.raises(EdgekitError, match=r"is of another (budget: 5 ms, and not 4 ms|recipe: r, and not other)"):
            fake.open_fake(tmp_path, **about)
    fake.open_fake(tmp_path, budget="5 ms")


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all/study.db", "nodatabase://host/x"])
def test_a_storage_that_cannot_be_opened(url):
    with pytest.raises(EdgekitError, match="storage cannot be opened"):
        fake.open_study("x", url, {}, [1], maximise=True)


def test_rungs():
    assert [rungs_of(n) for n in (3000, 9, 4, 1)] == [[333, 1000, 3000], [1, 3, 9], [1, 4], [1]]


def test_three_processes_work_on_one_study_and_one_is_killed(tmp_path):
    fake.open_fake(tmp_path)
    count = 20
    run = [sys.executable, str(FAKE), str(tmp_path), str(count)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    killed = subprocess.Popen([*run, "hold"], **quiet)
    while not (tmp_path / "log").exists():  # it trains
        assert killed.poll() is None
        time.sleep(0.05)
    others = [subprocess.Popen(run, **quiet) for _ in range(2)]
    killed.kill()
    killed.communicate()
    for process in others:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    assert count <= len(trained(fake.open_fake(tmp_path))) <= count + 1  # two may end one each at once
    rows = [tuple(map(int, line.split())) for line in (tmp_path / "log").read_text().splitlines()]
    left = [row[1:] for row in rows if row[0] == killed.pid]
    done = Counter(row[1:] for row in rows if row[0] != killed.pid)
    assert {row[0] for row in rows} == {killed.pid, *(process.pid for process in others)}
    assert len(left) == 1 and left[0] in done  # taken up, though its process could say nothing
    assert max(done.values()) == 1
