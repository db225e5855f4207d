"""`edgekit bench` over an engine: the fakes of CUDA and TensorRT, everything else real."""

from __future__ import annotations

import importlib
import json

import pytest

from edgekit.bench import command as bench
from edgekit.bench.timed import Timed
from edgekit.cli.main import main
from edgekit.runtime.cuda import driver_graph
from edgekit.runtime.tensorrt.backend import TensorRT

FAST = ["--duration", "0", "--runs", "40", "--warm-up", "0", "--json"]


@pytest.fixture
def warm(monkeypatch):
    found = {"seconds": 1.0, "import_s": 0.2, "load_s": 0.3, "first_s": 0.4, "peak_mib": 77.0}
    monkeypatch.setattr(bench, "cold_start", lambda options: dict(found))


@pytest.fixture
def engine(jetson_bundle, built_here):
    return built_here(jetson_bundle, precision="int8")[0].path


def test_the_backend_offers_all_that_can_be_timed():
    assert issubclass(TensorRT, Timed)


@pytest.mark.parametrize("by", ["engine", "bundle", "both"])
def test_numbers_as_trtexec_names_them(jetson_bundle, engine, warm, capsys, by):
    words = {
        "engine": [str(engine)],
        "bundle": [str(jetson_bundle), "--backend", "tensorrt"],
        "both": [str(jetson_bundle), "--backend", "tensorrt", "--engine", str(engine)],
    }[by]
    assert main(["bench", *words, *FAST, "--layers", "--match-trtexec"]) == 0
    found = json.loads(capsys.readouterr().out)
    timings = found["timings"]
    assert {"end_to_end", "graph", "compute", "h2d", "d2h", "latency", "enqueue", "host"} <= set(timings)
    for run in zip(*(timings[k]["samples_ms"] for k in ("latency", "h2d", "compute", "d2h")), strict=True):
        assert run[0] == pytest.approx(sum(run[1:]), rel=1e-3)
    assert found["throughput"]["pipelined"] > 0 and found["layers"]
    assert found["subject"]["backend"] == "tensorrt" and found["subject"]["engine"] == str(engine)
    assert found["trtexec"].startswith(f"trtexec --loadEngine={engine} --warmUp=0 ")


def test_the_trtexec_line_of_an_engine_on_a_dla_core(jetson_bundle, built_here, warm, capsys):
    (built,) = built_here(jetson_bundle, precision="fp16", lane="cache", dla_core=1, gpu_fallback=True)
    words = ["--duration", "0.2", "--runs", "10", "--warm-up", "0", "--json"]
    assert main(["bench", str(built.path), *words, "--match-trtexec"]) == 0
    line = json.loads(capsys.readouterr().out)["trtexec"].split()
    assert "--useDLACore=1" in line and "--duration=0.2" in line


def test_a_cuda_graph_is_used_and_recorded(engine, warm, capsys, monkeypatch):
    fake = importlib.import_module("libcuda").FakeLibcuda()
    monkeypatch.setattr(driver_graph, "driver_library", lambda: fake)
    assert main(["bench", str(engine), *FAST, "--cuda-graph", "--match-trtexec"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "executed on a Jetson" in found["unrun"]
    assert found["subject"]["cuda_graph"] is True and "--useCudaGraph" in found["trtexec"]


def test_the_terminal_says_which_number_is_which(engine, warm, capsys):
    words = [word for word in FAST if word != "--json"]
    assert main(["bench", str(engine), *words, "--layers"]) == 0
    said = capsys.readouterr().out
    for word in (
        "GPU Compute Time",
        "H2D Latency",
        "Enqueue Time",
        "without a CUDA graph",
        "pipelined",
        "layers, mean ms",
    ):
        assert word in said


def test_a_precision_that_was_not_built_says_how(jetson_bundle, engine, capsys):
    assert main(["bench", str(jetson_bundle), "--backend", "tensorrt", "--precision", "fp16", *FAST]) == 2
    assert "edgekit build" in json.loads(capsys.readouterr().out)["error"]["fix"]
