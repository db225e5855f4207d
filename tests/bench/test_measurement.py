"""Measuring a Predictor: the host's steps, a backend that looks inside a query, cold starts, soaks."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import edgekit
from edgekit.bench.cold_start import cold_start
from edgekit.bench.command import bundle_of, measure_bundle
from edgekit.bench.document import check_measurement
from edgekit.bench.host import host_steps, resize_frames
from edgekit.bench.measurement import measure_predictor
from edgekit.bench.soak import Soak, Window, parse_duration, soak
from edgekit.bench.stopwatch import BenchPlan
from edgekit.bench.telemetry.system import LineStream, System
from edgekit.bench.timed import Timed
from edgekit.bench.trtexec import trtexec_command
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend

SHORT = BenchPlan(0.0, 0.0, 10)


class Quiet(System):
    """A machine that tells nothing."""

    def has(self, program):
        return False


@pytest.fixture
def quiet(tmp_path):
    return Quiet(tmp_path)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)


def test_the_steps_are_those_of_infer(tiny_bundle, frames):
    seen = []
    with edgekit.load(tiny_bundle, threads=1) as predictor:
        expected = [predictor.infer(frame) for frame in frames]
        finish = predictor.finish
        predictor.finish = lambda raw, size: seen.append(finish(raw, size)) or seen[-1]
        once = host_steps(predictor, {"rgb": frames})
        taken = [once() for _ in range(4)]
    for i, found in enumerate(seen):
        for name, array in expected[i % 3].items():  # the frames come round again
            np.testing.assert_array_equal(found[name][0], array)
    for entry in taken:
        assert entry["end_to_end"] == pytest.approx(entry["prepare"] + entry["graph"] + entry["finish"])
        assert min(entry.values()) >= 0 and entry["graph"] > 0


def test_batches_take_frames_in_turn(frames):
    given = []
    predictor = SimpleNamespace(prepare=given.append, graph=lambda feed: None, finish=lambda raw, size: None)
    once = host_steps(predictor, {"rgb": frames}, batch=2)
    for _ in range(3):
        once()
    for found, wanted in zip(given, ([0, 1], [2, 0], [0, 1]), strict=True):
        np.testing.assert_array_equal(found["rgb"], frames[wanted])


def test_frames_of_another_size(frames):
    given = {"rgb": frames, "thermal": frames[:, ::2, ::2, 0:1].astype(np.float32)}
    assert resize_frames(given, None) is given and resize_frames(given, (64, 96)) is given
    found = resize_frames(given, (30, 50))
    assert found["rgb"].shape == (3, 30, 50, 3) and found["thermal"].shape == (3, 30, 50, 1)
    assert found["thermal"].dtype == np.float32 and abs(found["thermal"].mean() - given["thermal"].mean()) < 3


def test_a_document(tiny_bundle, frames, quiet):
    told = []
    with edgekit.load(tiny_bundle, threads=1) as predictor:
        found = measure_predictor(
            predictor, {"rgb": frames}, SHORT, system=quiet, progress=lambda *said: told.append(said)
        )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    check_measurement(found, "")
    assert list(found["timings"]) == ["end_to_end", "prepare", "graph", "finish"]
    assert all(len(timing["samples_ms"]) == timing["count"] == 10 for timing in found["timings"].values())
    whole, graph = found["timings"]["end_to_end"], found["timings"]["graph"]
    assert whole["p50"] > graph["p50"] and whole["min"] <= whole["p50"] <= whole["p99"] <= whole["max"]
    assert found["throughput"]["end_to_end"] == pytest.approx(10_000 / sum(whole["samples_ms"]), rel=0.3)
    assert found["subject"] | {"student": "mean", "precision": "int8", "threads": 1, "batch": 1} == found["subject"]
    assert found["marks"] == ["it is not known whether the clocks were locked"]
    assert told[-1] == ("end to end", 1.0)


class Inside(Backend):
    """A backend in front of another, which also says how long the parts of a query take."""

    name = "inside"

    def __init__(self, backend):
        self._backend, self.artifact, self.many = backend, backend.artifact, []
        self.count = 0

    def run(self, feed, wanted):
        return self._backend.run(feed, wanted)

    def describe(self):
        return {**self._backend.describe(), "backend": "tensorrt", "runtime": "TensorRT 10.3.0", "engine": "e.plan"}

    def time_once(self):
        self.count += 1
        return {"h2d": 0.25, "compute": 2.0 + (self.count % 2), "d2h": 0.5, "enqueue": 0.1, "host": 4.0}

    def time_many(self, count):
        self.many.append(count)
        return 2.5 * count  # ms

    def profile(self, count):
        return [("conv", 1.5), ("argmax", 0.5)]

    def close(self):
        self._backend.close()


def test_a_backend_that_looks_inside(tiny_bundle, frames, quiet):
    with edgekit.load(tiny_bundle, threads=1) as predictor:
        assert not isinstance(predictor.backend, Timed)
        predictor.backend = Inside(predictor.backend)
        assert isinstance(predictor.backend, Timed)
        found = measure_predictor(predictor, {"rgb": frames}, SHORT, system=quiet, layers=True)
    timings = found["timings"]
    assert timings["compute"]["samples_ms"] == [3.0, 2.0] * 5
    assert timings["latency"]["samples_ms"] == [3.75, 2.75] * 5  # H2D + GPU compute + D2H
    assert (timings["host"]["p50"], timings["enqueue"]["max"], timings["h2d"]["mean"]) == (4.0, 0.1, 0.25)
    assert "GPU Compute Time" in timings["compute"]["definition"]
    assert found["throughput"]["pipelined"] == 400.0
    assert found["layers"] == [{"layer": "conv", "ms": 1.5}, {"layer": "argmax", "ms": 0.5}]


def test_accuracy_is_the_primary_metric_of_this_precision(tiny_bundle, frames, quiet):
    scores = {
        "int8": {"semantic": {"miou": 0.5, "iou": {}}, "depth": {"absrel": 0.1}},
        "fp32": {"semantic": {"miou": 0.6}},
    }
    with edgekit.load(tiny_bundle, threads=1) as predictor:
        object.__setattr__(predictor.manifest, "metrics", scores)
        found = measure_predictor(predictor, {"rgb": frames}, SHORT, system=quiet)["accuracy"]
    assert found == [
        {"task": "semantic", "kind": "semantic", "metric": "miou", "value": 0.5, "higher_is_better": True},
        {"task": "depth", "kind": "depth", "metric": "absrel", "value": 0.1, "higher_is_better": False},
    ]


def test_a_cold_start(tiny_bundle):
    found = cold_start({"bundle": str(tiny_bundle), "threads": 1})
    assert found["seconds"] >= found["import_s"] + found["load_s"] + found["first_s"] > 0
    assert 10 < found["peak_mib"] < 2000


def test_a_cold_start_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"this is not a bundle: it has no manifest\.json"):
        cold_start({"bundle": str(tmp_path)})


def test_the_whole_command(tiny_bundle, quiet):
    options = {"duration": 0.0, "runs": 5, "warm_up": 0.0, "threads": 1, "system": quiet}
    found = measure_bundle(tiny_bundle, frame_size="40x70", layers=True, precision="fp32", **options)
    assert found["subject"]["frame_size"] == [40, 70] and found["subject"]["precision"] == "fp32"
    assert found["memory"]["peak_mib"] > 10 and found["start_up"]["seconds"] > 0
    assert "no layers: onnxruntime does not time them" in found["marks"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"match_trtexec": True}, "--match-trtexec"),
        ({"cuda_graph": True}, "--cuda-graph"),
        ({"soak": "long"}, "--soak"),
        ({"frame_size": "9x9"}, "--frame-size"),
    ],
)
def test_options_that_do_not_fit(tiny_bundle, options, where):
    with pytest.raises(EdgekitError) as error:
        measure_bundle(tiny_bundle, duration=0.0, runs=1, **options)
    assert error.value.where == where and error.value.fix


def test_the_bundle_of_an_engine(tmp_path):
    for folder in ("uav/engines", "sea-engines", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "e.plan").touch()
    (tmp_path / "sea.tar").touch()
    assert bundle_of(tmp_path / "uav/engines/e.plan") == tmp_path / "uav"
    assert bundle_of(tmp_path / "sea-engines/e.plan") == tmp_path / "sea.tar"
    with pytest.raises(EdgekitError, match="which bundle"):
        bundle_of(tmp_path / "elsewhere/e.plan")


def test_durations():
    assert [parse_duration(t, "") for t in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
    for text in ("", "0", "m", "-3", "3 d", "1e9", "٣"):
        with pytest.raises(EdgekitError, match="not a duration"):
            parse_duration(text, "--soak")


def window(at: float, p99: float = 5.0, memory: float | None = 100.0) -> Window:
    return Window(at, 100, 4.0, p99, 9.0, memory, None, None)


def test_a_steady_soak_says_nothing():
    found = Soak([window(5 * i) for i in range(1, 61)], [])
    assert (found.drift, found.growth_mib, found.marks()) == (1.0, 0.0, [])
    assert Soak([window(5.0)], []).marks() == []


def test_what_is_not_steady_is_said():
    windows = [window(i, p99=5.0 + 0.02 * i, memory=100.0 + i) for i in range(60)]
    found = Soak(windows, ["the GPU's clock fell"])
    # medians of windows 45…59 over 0…14, and of 45…59 minus 15…29
    assert found.drift == pytest.approx((5 + 0.02 * 52) / (5 + 0.02 * 7)) and found.growth_mib == 30.0
    assert found.marks() == [
        "soak: p99 drifted by +17.5% from the first quarter to the last",
        "soak: memory grew by 30.0 MiB from the second quarter to the last",
        "soak: throttled: the GPU's clock fell",
    ]
    assert Soak([window(1, memory=None)], []).growth_mib is None


def test_what_leaks_on_the_gpu_shows_in_the_boards_memory():
    """On a Jetson it is not in the process's own."""

    def grown(mib: float) -> Soak:
        return Soak([replace(window(i), board_mib=3000.0 + mib * i / 30) for i in range(60)], [])

    # medians of windows 45…59 minus 15…29: 30 windows apart
    assert grown(100.0).board_growth_mib == pytest.approx(100.0)
    (mark,) = grown(100.0).marks()
    assert "the board's memory grew by 100 MiB" in mark
    assert grown(60.0).marks() == []  # other programs come and go
    assert grown(100.0).as_json()["board_memory_growth_mib"] == 100.0
    assert Soak([window(1.0)], []).board_growth_mib is None


def test_a_soak_reads_the_boards_memory_and_power_beside_it(tmp_path):
    line = "RAM 2662/7620MB CPU [9%@1510] GR3D_FREQ 98%@[624] tj@46.5C VDD_IN 4320mW/4310mW VDD_SOC 1402mW/1400mW"

    heard = threading.Event()

    class Heard(LineStream):
        def lines(self):
            for line in super().lines():
                yield line
                heard.set()  # the reading of it is taken

    class Board(Quiet):
        def has(self, program):
            return program == "tegrastats"

        def stream(self, *argv):
            code = f"import time\nwhile True:\n    print({line!r}, flush=True)\n    time.sleep(0.02)"
            return Heard([sys.executable, "-c", code])

    def once():
        assert heard.wait(120)  # a Python that starts slowly is no wrong result
        time.sleep(0.02)
        return {"end_to_end": 20.0}

    found = soak(once, 0.2, Board(tmp_path), memory=lambda: 100.0)
    (only,) = found.windows
    assert (only.board_mib, only.power, only.hottest, only.memory_mib) == (2662.0, 4320.0, 46.5, 100.0)


def test_a_soak_is_cut_into_windows(quiet):
    now, held = [0.0], iter(range(100, 200))

    def once():
        now[0] += 0.25
        return {"end_to_end": 250.0}

    options = {"clock": lambda: now[0], "memory": lambda: float(next(held))}
    found = soak(once, 30.0, quiet, **options)
    assert len(found.windows) == 6 and found.windows[-1].at == pytest.approx(30.0, abs=0.5)
    assert [w.memory_mib for w in found.windows] == [100, 101, 102, 103, 104, 105]
    assert all(w.count == 20 and w.p99 == 250.0 for w in found.windows)
    assert len(soak(once, 2.0, quiet, clock=lambda: now[0]).windows) == 1


@pytest.mark.parametrize(
    ("version", "graph", "flags"),
    [
        ("8.6.2", False, set()),
        ("10.3.0", True, {"--useCudaGraph"}),
        ("11.4.0", True, {"--includeDataTransfers", "--noSpinWait"}),
        ("11.4.0", False, {"--includeDataTransfers", "--noSpinWait", "--noCudaGraph"}),
    ],
)
def test_the_trtexec_line_pins_what_versions_changed(version, graph, flags):
    words = trtexec_command("a b.plan", BenchPlan(0.2, 3.0, 100), version, cuda_graph=graph).split(" --")
    assert (words[0] == "trtexec" and words[1] == "loadEngine=a b.plan'") or words[0].startswith("trtexec '")
    rest = {f"--{w}" for w in words[1:]}
    assert flags <= rest and {"--warmUp=200", "--duration=3", "--iterations=100", "--percentile=90,95,99"} <= rest
    assert not rest & ({"--useCudaGraph", "--includeDataTransfers", "--noSpinWait", "--noCudaGraph"} - flags)


def test_the_trtexec_line_runs_as_long_as_was_asked():
    """trtexec reads both as floating-point numbers: seconds to run, milliseconds to warm up."""
    words = trtexec_command("e.plan", BenchPlan(0.0125, 0.2, 7), "10.3.0", cuda_graph=False).split()
    assert {"--duration=0.2", "--warmUp=12.5", "--iterations=7"} <= set(words)
    none = trtexec_command("e.plan", BenchPlan(0.0, 0.0, 10), "10.3.0", cuda_graph=False).split()
    assert {"--duration=0", "--warmUp=0"} <= set(none)


def test_an_engine_for_a_dla_core_is_put_on_that_core():
    command = trtexec_command("e.plan", SHORT, "10.3.0", cuda_graph=False, dla_core=1)
    assert "--useDLACore=1" in command.split()
    assert "DLA" not in trtexec_command("e.plan", SHORT, "10.3.0", cuda_graph=False)


def test_open_shapes_are_named():
    command = trtexec_command("e.plan", SHORT, "10.3.0", cuda_graph=False, shapes={"frames": (1, 64, 96, 3)})
    assert command.endswith("--shapes=frames:1x64x96x3")
