"""Drives the engine code through everything it does with TensorRT, over the fake of one version, and records each use.

Run as ``python tests/fakes/scenario.py BUNDLE DYNAMIC FRAMES WORK EXAMPLE``, with FAKE_TENSORRT_VERSION and
FAKE_TENSORRT_RECORD set. What fails on purpose must fail as an EdgekitError; anything else ends the scenario.
"""

from __future__ import annotations

import dataclasses
import os
import runpy
import sys
from pathlib import Path

import libcuda
import numpy as np
import onnx
import tensorrt

from edgekit.bundle.bundle import open_bundle
from edgekit.engine import build as build_module
from edgekit.engine import worker
from edgekit.engine.build import BuildOptions, build
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Options
from edgekit.runtime.cuda import driver_graph
from edgekit.runtime.load import open_backend
from edgekit.runtime.tensorrt.sidecar import read_sidecar, sidecar_path

build_module.run_child = lambda job, listen=lambda event: None: worker.do(job, listen, lambda: False)
worker.LEAST_RUNS, worker.LEAST_SECONDS, worker.WARM_UPS = 2, 0.0, 0
driver_graph.driver_library = lambda library=libcuda.FakeLibcuda(): library  # noqa: B008 - one library for all calls


def attempt(source: Path, **options) -> Path | None:
    """Build; the engine's path, None where edgekit says why not."""
    try:
        return build(open_bundle(source), BuildOptions(**options))[0].path
    except EdgekitError as error:
        print(f"{options}: {error.what}")
        return None


def drive(source: Path, engine: Path, feed: np.ndarray) -> None:
    with open_backend(open_bundle(source), "tensorrt", options=Options(engine=engine)) as backend:
        wanted = [o.name for o in backend.artifact.outputs]
        backend.run(feed, wanted)
        backend.time_once()
        backend.time_many(3)
        backend.profile(2)
        backend.use_graph()
        backend.run(feed, wanted)
        list(backend.run_many([feed] * 3, wanted))
        backend.describe()


def main_rtx(source: Path) -> None:
    """TensorRT for RTX: an engine that its compiler built is run, and nothing is built."""
    from edgekit.compile.compiler import Compiled, Engine
    from edgekit.pipeline.rtx_engines import keep_engines

    sys.modules["tensorrt_rtx"] = tensorrt
    bundle, version = open_bundle(source), tensorrt.__version__
    header = {"version": version, "gpu": "fake GPU, computed by onnxruntime", "profile": None, "dla": None}
    plan = tensorrt.running.write_plan(header, bundle.read("strong-int8.onnx"))
    compiled = Compiled("strong-int8.onnx", version, Engine(plan, (), (), 0.0, None, None), (), ())
    (engine,) = keep_engines(bundle, [compiled], ("8.7",))
    drive(source, engine, np.zeros((1, 64, 96, 3), np.uint8))


def main(source: Path, dynamic: Path, frames: Path, work: Path, example: Path) -> None:
    built = []
    for lane in ("weak", "strong", "cache"):
        for precision in ("fp32", "fp16", "int8"):
            path = attempt(source, lane=lane, precision=precision)
            if path and lane != "cache":
                built.append(path)
    attempt(source)
    attempt(source, precision="fp16", optimization_level=2, workspace=64, timing_cache=work / "timing")
    attempt(source, precision="fp16", timing_cache=work / "timing")
    attempt(source, precision="fp16", dla_core=0, gpu_fallback=True)
    attempt(source, precision="fp16", dla_core=0)
    attempt(source, lane="cache", precision="fp16", dla_core=0)
    attempt(source, calibrate=frames, algorithm="entropy")
    attempt(source, calibrate=frames, algorithm="minmax")
    attempt(dynamic, lane="cache", precision="int8")
    opened = attempt(dynamic, precision="fp16")
    feed = np.zeros((1, 64, 96, 3), np.uint8)
    for engine in built[:2]:
        drive(source, engine, feed)
    drive(dynamic, opened, np.zeros((3, 64, 96, 3), np.uint8))
    for folder, engine in ((source, built[0]), (dynamic, opened)):
        runpy.run_path(str(example))["main"]([str(folder), str(engine), "--runs", "2"])
    elsewhere = dataclasses.replace(read_sidecar(built[0]), dla_core=7)
    sidecar_path(built[0]).write_text(elsewhere.to_json())
    try:
        drive(source, built[0], feed)
    except EdgekitError as error:
        print(error.what)
    for failure in ("start", "build", "context", "deserialise"):
        os.environ["FAKE_TENSORRT_FAIL"] = failure
        attempt(source, precision="fp16")
    os.environ.pop("FAKE_TENSORRT_FAIL")
    for file in ("weak.onnx", "strong-fp16.onnx"):
        spoil(source, file)
    attempt(source, precision="fp16")


def spoil(source: Path, file: str) -> None:
    """An operator that the parser does not know."""
    import jetson_bundle

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].op_type = "BitShift"

    jetson_bundle.change_graph(source, file, change)


if __name__ == "__main__":
    if os.environ["FAKE_TENSORRT_VERSION"].startswith("1."):
        main_rtx(Path(sys.argv[1]))
    else:
        main(*(Path(argument) for argument in sys.argv[1:]))
