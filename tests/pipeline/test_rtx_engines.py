"""Engines of TensorRT for RTX: kept beside a bundle, and run by the TensorRT backend over the fake of its bindings.

The engines that are run are the fake's: nothing of NVIDIA's runs without a GPU. Real ones are only built.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys

import numpy as np
import pytest

from edgekit.bench.command import measure_bundle
from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.compile.compiler import Compiled, Engine, Refusal, is_there
from edgekit.compile.kernels import EngineKernel, KernelTensor
from edgekit.errors import EdgekitError
from edgekit.pipeline.rtx_engines import keep_engines
from edgekit.runtime.load import load, open_backend
from edgekit.runtime.tensorrt.locate import engine_folder, find_engine
from edgekit.runtime.tensorrt.module import import_rtx
from edgekit.runtime.tensorrt.sidecar import read_sidecar, sidecar_path

VERSION = "1.7.1.116"
FILES = {"strong-fp16.onnx": "fp16", "strong-int8.onnx": "int8"}


@pytest.fixture
def rtx(tensorrt, monkeypatch):
    """The fake as TensorRT for RTX, and as nothing else."""
    tensorrt(VERSION)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", importlib.import_module("tensorrt"))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    return sys.modules["tensorrt_rtx"]


@pytest.fixture
def kept(rtx, jetson_bundle):
    """Engines as the compiler would have handed them over, for the fake GPU's 8.7 and for 8.9."""
    running = importlib.import_module(f"{rtx.__name__}.running")
    bundle = open_bundle(jetson_bundle)
    header = {"version": VERSION, "gpu": "fake GPU, computed by onnxruntime", "profile": None, "dla": None}
    found = [compiled(file, running.write_plan(header, bundle.read(file))) for file in FILES]
    return keep_engines(bundle, found, ("8.7", "8.9"))


def compiled(file: str, plan: bytes) -> Compiled:
    kernel = EngineKernel("k", "correlation", (KernelTensor("x", (1, 3, 8, 8), "INT8"),), (), ("conv",))
    return Compiled(file, VERSION, Engine(plan, (kernel,), (), 1.5, None, None), (), ())


def test_the_backend_runs_them(jetson_bundle, kept):
    frame = np.random.default_rng(1).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    for engine, precision in zip(kept, FILES.values(), strict=True):
        with (
            load(jetson_bundle, backend="tensorrt", engine=engine) as gpu,
            load(jetson_bundle, precision="fp32") as cpu,
        ):
            said = gpu.backend.describe()
            assert (said["runtime"], said["precision"]) == (f"TensorRT for RTX {VERSION}", precision)
            assert said["device"] == "fake GPU, computed by onnxruntime" and "not run" in said["notes"][0]
            here, there = gpu.infer(frame), cpu.infer(frame)
            assert here.keys() == there.keys()
            # float16 or one rounding to 8 bits of the input, which is all that these small graphs differ by
            assert np.abs(here["depth"] - there["depth"]).max() < 0.05 * np.ptp(there["depth"])
            assert gpu.backend.time_once()["compute"] >= 0
    live = importlib.import_module("pycuda.driver").live()
    assert set(live.values()) == {0}, f"left unfreed: {live}"


def test_they_are_found_by_precision(jetson_bundle, kept):
    bundle = open_bundle(jetson_bundle)
    assert [path.name for path in kept] == ["strong-fp16.rtx", "strong-int8.rtx"]
    assert find_engine(bundle, "strong", "fp16")[0] == kept[0]
    with open_backend(bundle, "tensorrt", precision="int8") as backend:
        assert backend.sidecar.layers[0]["precision"] == "int8"
    assert bundle.strays() == []
    # An older plan of TensorRT is meant, unless the one for RTX is named: the machine may have no other product.
    side = json.loads(sidecar_path(kept[0]).read_text())
    plan = kept[0].with_suffix(".plan")
    plan.write_bytes(kept[0].read_bytes())
    older = {**side, "compute_capabilities": [], "created": "2000-01-01T00:00:00Z"}
    sidecar_path(plan).write_text(json.dumps(older))
    assert find_engine(bundle, "strong", "fp16")[0] == plan
    assert find_engine(bundle, "strong", "int8")[0] == kept[1]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"FAKE_GPU_SM": "7.5"}, "built for compute capability 8.7, 8.9, this machine has 7.5"),
        ({"FAKE_TENSORRT_VERSION": "10.3.0"}, f"built for TensorRT for RTX {VERSION}, this machine has 10.3.0"),
        ({"machine": "aarch64"}, f"built for platform {platform.machine()}, this machine has aarch64"),
    ],
)
def test_what_they_are_bound_to(jetson_bundle, kept, tensorrt, monkeypatch, change, what):
    for name, value in change.items():
        if name == "machine":
            monkeypatch.setattr(platform, "machine", lambda value=value: value)
        else:
            monkeypatch.setenv(name, value)
    if "FAKE_TENSORRT_VERSION" in change:
        monkeypatch.delitem(sys.modules, "tensorrt")
        tensorrt(change["FAKE_TENSORRT_VERSION"])
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", importlib.import_module("tensorrt"))
    with pytest.raises(EdgekitError, match=what) as caught:
        open_backend(open_bundle(jetson_bundle), "tensorrt", lane="strong")
    assert f"edgekit compile {jetson_bundle} --keep --compute-capability 8.7,8.9" in caught.value.fix


def test_any_gpu_of_its_compute_capabilities_will_do(jetson_bundle, kept, monkeypatch):
    monkeypatch.setenv("FAKE_GPU_SM", "8.9")
    with open_backend(open_bundle(jetson_bundle), "tensorrt") as backend:
        assert backend.sidecar.for_rtx


def test_bench_opens_one_and_trtexec_does_not(kept):
    with pytest.raises(EdgekitError, match=f"this runs on TensorRT for RTX {VERSION}"):
        measure_bundle(kept[0], match_trtexec=True)


def test_a_refused_file_has_no_engine(jetson_bundle):
    refused = Compiled("strong-int8.onnx", VERSION, None, (Refusal("no", "", "", "builder"),), ())
    bundle = open_bundle(jetson_bundle)
    assert keep_engines(bundle, [refused, compiled("weak.onnx", b"of another lane")], ("8.6",)) == []
    assert list(engine_folder(bundle).iterdir()) == []


def test_without_the_package_the_backend_says_what_to_install(jetson_bundle, kept, monkeypatch):
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EdgekitError, match="TensorRT for RTX") as caught:
        import_rtx()
    assert "edgekit[rtx]" in caught.value.fix


@pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")
def test_the_command_keeps_real_ones(jetson_bundle, capsys):
    said = main(["compile", str(jetson_bundle), "--keep", "--compute-capability", "8.6,8.9", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert said == 0 and {file["subject"] for file in document["files"]} >= set(FILES)
    (sidecar,) = [read_sidecar(path) for path in engine_folder(open_bundle(jetson_bundle)).glob("strong-int8.rtx")]
    assert sidecar.compute_capabilities == ("8.6", "8.9") and sidecar.product == "TensorRT for RTX"
    assert sidecar.installed.tensorrt == document["files"][0]["tensorrt_rtx"] and sidecar.golden is None
    assert sidecar.plan_bytes > 1000
    assert main(["compile", str(jetson_bundle), "--keep", "--lane", "weak"]) == 2
    assert "--keep" in capsys.readouterr().err
