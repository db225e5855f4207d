"""Runs as another program shows them: a log that grows, and TensorBoard's events read back."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.track import tracker
from edgekit.track.tracker import TRACKERS, Tracker, tracked


class Kept(Tracker):
    """Keeps what it is told."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.told, self.pictures, self.closed = [], [], False
        last.append(self)

    def scalars(self, series, step, values):
        self.told.append((series, step, dict(values)))

    def picture(self, name, path):
        self.pictures.append((name, path))

    def close(self):
        self.closed = True


last: list[Kept] = []


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setitem(TRACKERS._loaded, "kept", Kept)
    monkeypatch.setattr(tracker, "_SECONDS", 0.01)
    last.clear()


def line(stage: str, step: int, **values: object) -> str:
    return json.dumps({"stage": stage, "step": step, "seconds": 1.0, "rate": 2.0, **values}) + "\n"


def write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def wait_for(told: int) -> None:
    end = time.monotonic() + 20
    while len(last[0].told) < told and time.monotonic() < end:
        time.sleep(0.01)


def test_a_log_is_handed_on_as_it_grows(tmp_path):
    log = tmp_path / "log.jsonl"
    write(log, line("teacher 1/2", 10, loss=2.0) + line("rendering", 5) + '{"stage": "teacher 1/2", "note": "x"}\n')
    with tracked(tmp_path, "kept"):
        assert last[0].told == [("teacher 1/2", 10, {"rate": 2.0, "loss": 2.0})] and last[0].folder.is_dir()
        assert (last[0].folder, last[0].name) == (tmp_path / "kept", tmp_path.name)
        whole = line("teacher 1/2", 20, loss=1.5, depth=None, ok=True)
        write(log, whole[:20])
        time.sleep(0.05)
        assert len(last[0].told) == 1
        write(log, whole[20:])
        wait_for(2)
        assert last[0].told[1:] == [("teacher 1/2", 20, {"rate": 2.0, "loss": 1.5})] and not last[0].closed
        write(log, line("student", 1, loss=3.0))
    assert last[0].told[2:] == [("student", 1, {"rate": 2.0, "loss": 3.0})] and last[0].closed


def test_steps_that_were_done_again_are_shown_once(tmp_path):
    write(tmp_path / "log.jsonl", line("a", 10, loss=3) + line("a", 20, loss=2) + "{cut off\n" + line("a", 20, loss=1))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "of an older command").touch()
    with tracked(tmp_path, "kept"):
        pass
    assert [(step, values["loss"]) for _, step, values in last[0].told] == [(10, 3.0), (20, 1.0)]
    assert list((tmp_path / "kept").iterdir()) == []


def test_the_result_is_scores_at_step_0_and_pictures(tmp_path):
    scores = {"student": {"semantic": {"miou": 0.5, "iou": {"roof": 0.4}, "weighted_miou": None}}}
    with tracked(tmp_path, "kept") as track:
        track.result({"scores": scores, "pictures": [str(tmp_path / "semantic-val.png")]})
        track.result({"trial": {}})  # a run that its trial ended
    assert last[0].told == [("scores student", 0, {"semantic/miou": 0.5})]
    assert last[0].pictures == [("semantic-val", tmp_path / "semantic-val.png")]


def test_it_is_closed_where_the_run_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), tracked(tmp_path, "kept"):
        raise KeyboardInterrupt
    assert last[0].closed


def test_without_a_name_nothing_is_written_and_an_unknown_one_is_told(tmp_path):
    with tracked(tmp_path, None) as track:
        assert track is None
    with pytest.raises(EdgekitError, match="unknown tracker 'tensorflow'") as caught, tracked(tmp_path, "tensorflow"):
        pass
    assert "tensorboard" in caught.value.fix and list(tmp_path.iterdir()) == []


def test_tensorboards_events_read_back(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_png(tmp_path / "semantic-val.png", picture)
    write(tmp_path / "log.jsonl", line("teacher 1/2", 10, loss=2.0) + line("teacher 1/2", 20, loss=1.5))
    with tracked(tmp_path, "tensorboard") as track:
        write(tmp_path / "log.jsonl", line("distilled student", 5, **{"loss": 4.0, "semantic.soft loss": 0.25}))
        result = {"scores": {"student": {"semantic": {"miou": 0.5}}}, "pictures": [str(tmp_path / "semantic-val.png")]}
        track.result(result)
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Runs()) == {"teacher 1 of 2", "distilled student", "scores student", "pictures"}
    assert [(e.step, e.value) for e in events.Scalars("teacher 1 of 2", "loss")] == [(10, 2.0), (20, 1.5)]
    assert [(e.step, e.value) for e in events.Scalars("distilled student", "semantic.soft loss")] == [(5, 0.25)]
    assert [e.value for e in events.Scalars("scores student", "semantic/miou")] == [0.5]
    (image,) = events.Images("pictures", "semantic-val")
    assert (image.height, image.width) == (5, 7)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(EdgekitError) as caught, tracked(tmp_path, "tensorboard"):
        pass
    assert "edgekit[track]" in caught.value.fix and list(tmp_path.iterdir()) == []
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events").write_text("of a run before")
    with pytest.raises(EdgekitError), tracked(tmp_path, "tensorboard"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["tensorboard", "events"]
