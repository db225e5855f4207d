"""`--engine ray`: on a cluster of two workers on this machine, one of which dies, and on one that is only played."""

from __future__ import annotations

import json
import os
import pickle
import sys
import warnings
from types import SimpleNamespace

import pytest

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.extract import run as run_module
from edgekit.extract.by_ray import extract_by_ray

pytestmark = pytest.mark.filterwarnings("ignore")

# Marks who looked at what; at the frame 3 of a film the worker dies as often as the file says.
EXPERT = """
import os, signal
from pathlib import Path

def opened(folder):
    def network(x):
        folder_ = Path(folder)
        (folder_ / f"by-{os.getpid()}").touch()
        left = folder_ / "deaths"
        number = sum((int(x[0, :, 4:12, 8 * b + 2 : 8 * b + 6].mean() > 127) << b) for b in range(12))
        if number == 3 and left.exists() and int(left.read_text()) > 0:
            left.write_text(str(int(left.read_text()) - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return x[:, :1] / 255
    return network
"""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each, and a head without any; the address."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("RAY_worker_niceness", "0")  # else whatever runs beside them stops them
        ray = pytest.importorskip("ray", reason="Ray is not installed (edgekit[ray])")
        from ray.cluster_utils import Cluster

        there = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(2):
            there.add_node(num_cpus=1)
        yield there.address
        ray.shutdown()
        there.shutdown()


class PlayedRay:
    """What the engine asks of Ray, in this process: calls are made when they are waited for, the last one first.

    ``deaths``: the numbers of calls, from 1, at which an actor dies, half of them when their work is done.
    """

    class RayError(Exception): ...

    class RayTaskError(RayError):
        cause: Exception

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, cpus: int, deaths: tuple[int, ...] = ()):
        self.cpus, self.deaths = cpus, deaths
        self.calls, self.answers, self.made, self.connected = 0, {}, [], None

    def init(self, address, **_):
        self.connected = address or "here"

    def shutdown(self):
        self.connected = None

    def cluster_resources(self):
        return {"CPU": float(self.cpus)}

    def remote(self, **asked):
        assert asked == {"num_cpus": 1}
        return lambda kind: SimpleNamespace(remote=lambda: self._actor(kind()))

    def _actor(self, worker):
        def method(name):
            def call(*given):
                key = object()
                self.answers[key] = (worker, name, pickle.dumps(given))
                return key

            return SimpleNamespace(remote=call)

        return SimpleNamespace(open=method("open"), part=method("part"))

    def wait(self, keys):
        return [keys[-1]], keys[:-1]

    def get(self, key):
        worker, name, given = self.answers.pop(key)
        self.calls += 1
        if self.calls in self.deaths and self.calls % 2:
            raise self.RayError("the actor died")
        try:
            answer = getattr(worker, name)(*pickle.loads(given))
        except EdgekitError as error:
            raised = self.RayTaskError("a task failed")
            raised.cause = error
            raise raised from error
        if self.calls in self.deaths:
            raise self.RayError("the actor died")
        self.made += [pickle.loads(given)] if name == "part" else []
        return pickle.loads(pickle.dumps(answer))


@pytest.mark.parametrize(
    ("cpus", "deaths", "layout"),
    [
        (1, (), "dronescapes"),
        (7, (), "dronescapes"),
        (2, (1, 2), "vre"),
        (3, (4,), "dronescapes"),
        (3, (5, 6), "dronescapes"),
        (2, (3, 4, 7, 8), "dronescapes"),
        (1, (1, 3, 4, 6, 7), "dronescapes"),  # three die while they open, but not one after the other
    ],
)
def test_any_number_of_workers_that_die_anywhere_make_the_tree_of_a_plain_run(work, monkeypatch, cpus, deaths, layout):
    work.tasks = """
    flow: {derive: flow_dis, of: rgb}
    depth: {expert: {kind: onnx, file: depth.onnx, inputs: [{std: [255]}]}, output: {task: {kind: depth}}, batch: 2}
    normals: {derive: plane_normals, of: depth, window: 5}
    """
    monkeypatch.setattr(run_module, "_BLOCK", 1)
    whole = work.base / "whole"
    plain = work.run(whole, layout=layout)
    ray, seen = PlayedRay(cpus, deaths), []
    monkeypatch.setitem(sys.modules, "ray", ray)
    done = extract_by_ray(
        work.config(), work.base, work.out, layout=layout, progress=lambda n, of: seen.append((n, of))
    )
    assert work.tree() == work.tree(whole)
    assert done.frames == plain.frames == 8 and done.failed == []
    assert done.written + done.kept == plain.written and (deaths or done.written == plain.written)
    assert len(ray.made) == 2 * -(-cpus // 2) and seen[-1] == (8, 8) and ray.connected is None
    again = extract_by_ray(work.config(), work.base, work.out, layout=layout)
    assert again.kept == plain.written and not again.written


def test_failures_come_back_once_and_what_is_wrong_as_it_was_raised(work, monkeypatch):
    (work.base / "broken.mp4").write_bytes(b"\0\0\0\x20ftypisom and nothing behind it")
    work.sets, work.tasks = "{train_set: [broken.mp4]}", ""
    monkeypatch.setitem(sys.modules, "ray", PlayedRay(4))
    done = extract_by_ray(work.config(), work.base, work.out)
    assert [(f.film, f.frame) for f in done.failed] == [("broken", "")]

    def late(self):
        prepare(self)
        (work.base / "b.mp4").unlink()

    prepare = run_module.Opened.prepare
    monkeypatch.setattr(run_module.Opened, "prepare", late)
    work.sets = "{train_set: [b.mp4]}"
    with pytest.raises(EdgekitError, match=r"no films or photographs in 'b\.mp4'") as raised:
        extract_by_ray(work.config(), work.base, work.base / "other")
    assert "films end in" in raised.value.fix


def test_workers_that_die_again_and_again_end_it(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", PlayedRay(1, deaths=tuple(range(2, 99))))
    with pytest.raises(EdgekitError, match="3 workers died one after the other: the actor died"):
        extract_by_ray(work.config(), work.base, work.out)
    assert work.run().failed == []


@pytest.fixture
def marked(work, film, frames_of, monkeypatch):
    """The pipeline with one expert more, in the user's Python, and a longer film."""
    (work.base / "marking_expert.py").write_text(EXPERT)
    (work.base / "marks").mkdir()
    film(work.base / "a.mp4", frames_of(40))
    monkeypatch.syspath_prepend(str(work.base))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(work.base), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("EDGEKIT_ALLOW_CODE", "1")
    monkeypatch.delitem(sys.modules, "marking_expert", raising=False)
    work.tasks += f"""
    bright:
      expert: {{kind: torch, function: "marking_expert:opened", arguments: {{folder: "{work.base}/marks"}}}}
      output: {{task: {{kind: depth}}}}
"""
    yield work
    sys.modules.pop("marking_expert", None)


@pytest.mark.slow
def test_two_workers_make_the_same_tree_though_one_dies_and_shards_do_too(marked, cluster, monkeypatch, capsys):
    whole, sharded = marked.base / "whole", marked.base / "sharded"
    marked.run(whole)
    for index in (1, 0):
        marked.run(sharded, shard=(index, 2))
    marks = marked.base / "marks"
    for mark in marks.glob("by-*"):
        mark.unlink()
    (marks / "deaths").write_text("1")
    command = ["data", "extract", str(marked.pipeline), "--out", str(marked.out), "--engine", f"ray:{cluster}"]
    assert main(command) == 0
    assert (marks / "deaths").read_text() == "0"
    looked = {mark.name for mark in marks.glob("by-*")}
    assert len(looked) >= 2 and f"by-{os.getpid()}" not in looked
    assert marked.tree() == marked.tree(whole) == marked.tree(sharded)
    assert capsys.readouterr().out.splitlines()[-1].startswith("43 frames")
    assert main([*command, "--json"]) == 0  # nothing is left to be done
    tasks = json.loads(capsys.readouterr().out)["tasks"]
    assert {task["written"] for task in tasks.values()} == {0} and tasks["bright"]["kept"] == 43
    assert {mark.name for mark in marks.glob("by-*")} == looked


@pytest.mark.slow
def test_a_part_at_which_workers_die_again_and_again_ends_it(marked, cluster, capsys):
    (marked.base / "marks/deaths").write_text("99")
    command = ["data", "extract", str(marked.pipeline), "--out", str(marked.out), "--engine", f"ray:{cluster}"]
    assert main(command) == 2
    assert "3 workers died one after the other" in capsys.readouterr().err
    (marked.base / "marks/deaths").write_text("0")
    assert marked.run().failed == [] and marked.run(marked.base / "whole").failed == []
    assert marked.tree() == marked.tree(marked.base / "whole")


@pytest.mark.slow
def test_what_is_wrong_comes_back_as_it_was_raised(work, cluster, monkeypatch):
    work.sets = "{train_set: [b.mp4]}"
    config, base = work.config(), work.base

    def late(self):
        prepare(self)
        (base / "depth.onnx").unlink()  # behind the driver's back

    prepare = run_module.Opened.prepare
    monkeypatch.setattr(run_module.Opened, "prepare", late)
    with pytest.raises(EdgekitError, match=r"'depth\.onnx' does not exist") as raised:
        extract_by_ray(config, base, work.out, address=cluster)
    assert "relative to" in raised.value.fix


def test_a_cluster_that_is_not_there(work):
    pytest.importorskip("ray", reason="Ray is not installed (edgekit[ray])")
    with pytest.raises(EdgekitError, match="cluster cannot be reached"):
        extract_by_ray(work.config(), work.base, work.out, address="127.0.0.1:1")
