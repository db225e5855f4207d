"""The agent's job without a connection: steps, terminals, and how long nobody may watch."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgekit.remote import agent


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs" / "a"
    folder.mkdir(parents=True)
    (folder / "seen").touch()
    return folder


def run(job: Path, *lines: str, prints: bool = True, go_on: bool = False, terminals: bool = False, path: str = "/x"):
    """Exit codes, stdout and stderr of ``lines``, each a step."""
    steps = [{"words": ["sh", "-c", line], "say": "", "prints": prints, "go_on": go_on} for line in lines]
    agent.run_job(job.parents[1], job, steps, {"PATH": path}, {"out": terminals, "err": terminals})
    return json.loads((job / "done").read_text())["codes"], (job / "out").read_text(), (job / "err").read_text()


def test_steps_run_until_one_fails(job):
    assert run(job, "echo a; echo b >&2", "exit 3", "echo c") == ([0, 3], "a\n", "b\n")


def test_steps_that_go_on(job):
    assert run(job, "echo a", "exit 3", "kill -9 $$", "echo c", prints=False, go_on=True) == (
        [0, 3, -9, 0],
        "",
        "a\nc\n",
    )


def test_where_a_step_runs_and_what_it_finds(job):
    codes, out, _ = run(job, "pwd; echo $PATH", path=f"{agent.FOLDER}/venv/bin")
    where, path = out.splitlines()
    assert codes == [0] and where == str(job)
    assert path.split(":")[0] == f"{job.parents[1]}/venv/bin" and path.endswith(os.environ["PATH"])


def test_a_command_that_is_not_there_is_told(job):
    step = {"words": [f"{agent.FOLDER}/venv/bin/edgekit"], "say": "now\n", "prints": True, "go_on": False}
    agent.run_job(job.parents[1], job, [step, step], {"PATH": ""}, {"out": False, "err": False})
    assert json.loads((job / "done").read_text())["codes"] == [127]
    assert (job / "err").read_text() == f"now\n{job.parents[1]}/venv/bin/edgekit: No such file or directory\n"


def test_all_that_is_written_to_a_terminal_arrives(job):
    line = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done; test -t 1 && test -t 2 && echo ends >&2"
    codes, out, err = run(job, line, terminals=True)
    assert codes == [0] and err == "ends\n"
    assert out.splitlines() == [f"line {number}" for number in range(1, 2001)]


def wait(job: Path, command: str) -> tuple[bool, float]:
    began = time.monotonic()
    child = subprocess.Popen(["sh", "-c", command], start_new_session=True)
    stopped = agent.wait(child, job)
    assert child.poll() is not None
    return stopped, time.monotonic() - began


def test_a_job_that_nobody_watches_is_stopped_by_the_time_that_passes_and_not_by_the_clock(job, monkeypatch):
    monkeypatch.setattr(agent, "UNWATCHED", 2.0)
    os.utime(job / "seen", (0, 0))  # as if the clock had leapt since
    assert wait(job, "sleep 0.3")[0] is False
    stopped, seconds = wait(job, "exec sleep 60")
    assert stopped and 2.0 <= seconds < 40
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            (job / "seen").touch()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert wait(job, "sleep 4")[0] is False
    finally:
        ended.set()
        thread.join()


def test_what_takes_no_notice_of_ctrl_c_is_killed(job, monkeypatch):
    monkeypatch.setattr(agent, "GRACE", 0.5)
    (job / "stop").touch()
    stopped, seconds = wait(job, "trap '' INT; sleep 60 & wait; sleep 60")
    assert stopped and seconds < 40


def test_only_one_has_the_board_and_a_stale_holder_is_no_holder(tmp_path):
    first, second = agent.Agent(str(tmp_path)), agent.Agent(str(tmp_path))
    assert first.take("a", "ada", "edgekit build") == {"state": "free"}
    with pytest.raises(agent.AgentError, match="busy with `edgekit build` of ada"):
        second.take("b", "bob", "edgekit verify")
    os.close(first.lock)  # as when its process dies
    assert second.take("b", "bob", "edgekit verify") == {"state": "free"}
    os.close(second.lock)


def test_a_disk_that_fills_while_a_file_comes_leaves_nothing_of_it(tmp_path):
    one, content = agent.Agent(str(tmp_path)), bytes(1000)
    one.rest = content
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / ".part-film.mp4").symlink_to("/dev/full")  # where every write ends as on a full disk
    with pytest.raises(OSError) as error:
        one.put("inputs/film.mp4", hashlib.sha256(content).hexdigest(), len(content))
    assert error.value.errno == errno.ENOSPC and list((tmp_path / "inputs").iterdir()) == []


def test_a_job_is_not_started_on_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    one = agent.Agent(str(tmp_path))
    one.take("a", "ada", "edgekit build")
    monkeypatch.setattr(agent.shutil, "disk_usage", lambda folder: SimpleNamespace(free=agent.LEAST_FREE - 1))
    with pytest.raises(OSError) as error:
        one.start([], {"PATH": ""}, {"out": False, "err": False})
    assert error.value.errno == errno.ENOSPC and not (tmp_path / "jobs" / "a").exists()
    os.close(one.lock)


def test_results_are_kept_for_an_hour_and_not_longer(tmp_path):
    def take(job: str) -> str:
        one = agent.Agent(str(tmp_path))
        state = one.take(job, "ada", "x")["state"]
        os.close(one.lock)
        return state

    jobs = {name: tmp_path / "jobs" / name for name in ("mine", "fresh", "old")}
    for folder in jobs.values():
        folder.mkdir(parents=True)
        (folder / "done").write_text("{}")
    past = time.time() - agent.UNWATCHED - 60
    for path in (jobs["old"], jobs["old"] / "done"):
        os.utime(path, (past, past))
    assert take("mine") == "has ended"
    assert take("new") == "free"
    assert jobs["mine"].exists() and jobs["fresh"].exists() and not jobs["old"].exists()
    os.utime(jobs["mine"] / "done", (past, past))
    assert take("mine") == "free" and not jobs["mine"].exists()


@pytest.mark.parametrize("name", ["a", "b/c"])
def test_what_a_folder_lacks(tmp_path, name):
    one = agent.Agent(str(tmp_path))
    for file, text in ((name, "same"), ("engines/x", "kept"), ("stray", "gone"), ("sub/.part-y", "gone")):
        (tmp_path / "in" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / file).write_text(text)
    digest = agent.sha256(tmp_path / "in" / name)
    assert one.need("in", {name: digest, "new": digest}, "engines") == {"need": ["new"]}
    assert one.need("in", {name: "0" * 64}, "engines") == {"need": [name]}
    left = {path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("*") if path.is_file()}
    assert left == {name, "engines/x"}
