"""What a long stage says, on a terminal and elsewhere."""

from __future__ import annotations

import io
import json

import pytest

from edgekit.training import progress as module
from edgekit.training import views
from edgekit.training.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_one_line_per_interval_and_one_at_the_end(clock):
    stream = io.StringIO()
    with Progress("targets", interval=10.0, stream=stream) as progress:
        progress.begin(100)
        for done in range(1, 101):
            clock.now += 0.5
            progress.step(done, lambda: {"loss": 0.25})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "targets: 20/100 2.0/s loss 0.25 eta 40 s"
    assert [line.split()[1] for line in lines] == ["20/100", "40/100", "60/100", "80/100", "100/100"]


def test_values_are_asked_for_only_when_shown(clock):
    asked = []
    progress = Progress("t", interval=10.0, stream=io.StringIO())
    progress.begin(50)
    for done in range(1, 51):
        clock.now += 0.5
        progress.step(done, lambda done=done: asked.append(done) or {})
    assert asked == [20, 40, 50]


def test_the_log_is_json_lines_with_the_share_of_waiting(clock, tmp_path):
    log = tmp_path / "deep" / "log.jsonl"
    progress = Progress("teacher", log, interval=1.0, stream=io.StringIO())
    progress.begin(4)
    for done in range(1, 5):
        clock.now += 2.0
        progress.step(done, lambda: {"loss": 0.5}, waited=0.5 * done)
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["step"] for e in entries] == [1, 2, 3, 4]
    assert entries[-1] == {"stage": "teacher", "step": 4, "seconds": 8.0, "rate": 0.5, "loss": 0.5, "waiting": 0.25}
    assert progress.waiting == 0.25


def test_terms_of_the_loss_are_for_the_log_alone(clock, tmp_path):
    stream = io.StringIO()
    progress = Progress("t", tmp_path / "log.jsonl", stream=stream)
    progress.begin(1)
    progress.step(1, lambda: {"loss": 0.5, "depth loss": 0.25, "depth L1": 0.125})
    assert "loss 0.5 depth L1 0.125" in stream.getvalue() and "depth loss" not in stream.getvalue()
    assert json.loads((tmp_path / "log.jsonl").read_text())["depth loss"] == 0.25


def test_stages_append_to_one_log(clock, tmp_path):
    for title in ("one", "two"):
        progress = Progress(title, tmp_path / "log.jsonl", stream=io.StringIO())
        progress.begin(1)
        progress.step(1)
    assert [json.loads(x)["stage"] for x in (tmp_path / "log.jsonl").read_text().splitlines()] == ["one", "two"]


def test_a_resumed_stage_says_so_and_counts_its_own_rate(clock):
    stream = io.StringIO()
    progress = Progress("student", stream=stream)
    progress.begin(10, start=6)
    clock.now += 2
    progress.step(10)
    lines = stream.getvalue().splitlines()
    assert lines == ["student: 6/10 continues", "student: 10/10 2.0/s eta 0 s"]


def test_a_terminal_gets_a_bar(clock):
    stream = Terminal()
    with Progress("teacher", stream=stream) as progress:
        progress.begin(3)
        for done in range(1, 4):
            clock.now += 1
            progress.step(done, lambda: {"loss": 0.5}, waited=0.0)
    shown = stream.getvalue()
    assert "teacher" in shown and "3/3" in shown and "loss 0.5" in shown and "waiting 0%" in shown


def test_as_a_plain_callback_it_begins_by_itself(clock):
    stream = io.StringIO()
    progress = Progress("checking data", interval=0.0, stream=stream)
    for done in range(1, 4):
        clock.now += 1
        progress.count(done, 3)
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["1/3", "2/3", "3/3"]


def test_the_end_may_come_before_the_beginning():
    with Progress("nothing", stream=io.StringIO()) as progress:
        pass
    progress.end()


def test_a_worker_tells_its_parent_what_to_show(clock, monkeypatch):
    monkeypatch.setenv(views.FORWARD, "0.5")
    pipe, shown = io.StringIO(), io.StringIO()
    with Progress("teacher 1/2", stream=pipe) as progress:
        progress.begin(8, start=2)
        clock.now += 3
        progress.step(5, lambda: {"loss": 0.25})
    view = views.LineView(shown)
    assert all(views.forward(line, view) for line in pipe.getvalue().splitlines())
    assert shown.getvalue().splitlines() == ["teacher 1/2: 2/8 continues", "teacher 1/2: 5/8 1.0/s loss 0.25 eta 3 s"]
    assert not views.forward("Traceback (most recent call last):", view)
    assert not views.forward('{"title": "half"}', view)


def test_bars_of_several_stages_stand_side_by_side():
    stream = Terminal()
    view = views.view_for(stream)
    for done in (1, 2):
        view.show("teacher 1/2", done, 2, "3.0/s", 1.0)
        view.show("teacher 2/2", done, 2, "3.0/s", 1.0)
    view.close()
    text = stream.getvalue()
    assert "teacher 1/2" in text and "teacher 2/2" in text and "2/2" in text
