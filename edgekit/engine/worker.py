"""The child process that drives TensorRT: ``python -m edgekit.engine.worker FD``.

It reads one pickled job from stdin and writes events as lines of JSON to the file descriptor FD, because TensorRT
prints to stdout and stderr. stdin stays open: when it ends, the parent has gone or wants the child to stop, and the
child removes what it wrote and exits, even in the middle of a build.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from edgekit.boards.memory import read_memory
from edgekit.bundle.bundle import open_bundle
from edgekit.engine.calibration_frames import calibration_feeds, find_frames
from edgekit.engine.calibrator import cached_calibrator, check_cached, check_frames, frames_calibrator
from edgekit.engine.capabilities import Capabilities, make_builder, probe
from edgekit.engine.configure import configure
from edgekit.engine.job import BuildJob, CheckJob
from edgekit.engine.layers import inspect_layers
from edgekit.engine.memory import MIB, limits
from edgekit.engine.network import parse_network
from edgekit.engine.progress import watch
from edgekit.engine.timing_cache import attach_timing_cache, save_timing_cache
from edgekit.errors import EdgekitError
from edgekit.frames.files import writing
from edgekit.runtime.cuda.device import Device
from edgekit.runtime.load import load
from edgekit.runtime.tensorrt.log import take_errors, tensorrt_logger, warnings
from edgekit.runtime.tensorrt.module import import_tensorrt
from edgekit.runtime.tensorrt.plan import deserialise
from edgekit.runtime.verify import verify

WARM_UPS, LEAST_RUNS, LEAST_SECONDS = 20, 100, 0.2
STOPPED = 3
Report = Callable[[dict[str, Any]], None]


def run_build(job: BuildJob, report: Report, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Build ``job`` and write ``plan`` into its folder; returns what the sidecar records of it."""
    trt = import_tensorrt()
    with Device() as device, device.current():
        can = probe(trt, device)
        plan, result = _build(trt, device, can, job, report, stop)
        where = str(job.folder / "plan")
        loaded = deserialise(
            trt, device, plan, where, job.options.dla_core, "edgekit build, with another --optimization-level"
        )
        try:
            result["layers"] = inspect_layers(trt, loaded.engine)
        finally:
            loaded.close()
    return result


def _build(
    trt: Any, device: Device, can: Capabilities, job: BuildJob, report: Report, stop: Callable[[], bool]
) -> tuple[bytes, dict[str, Any]]:
    bundle = open_bundle(job.source)
    logger = tensorrt_logger(trt)
    begin = time.monotonic()
    builder = make_builder(trt)
    model, where = bundle.read(job.artifact.file), str(bundle.path(job.artifact.file))
    network, parser = parse_network(trt, builder, model, strong=job.artifact.lane == "strong", where=where)
    workspace = None if job.options.workspace is None else job.options.workspace * MIB
    bounds = limits(device.memory_free(), read_memory().available, workspace, shared=device.gpu.integrated)
    config = configure(trt, builder, network, job, bounds)
    calibrator, written = _calibrator(trt, device, job, bundle), job.folder / "calibration.cache"
    if calibrator is not None:
        config.int8_calibrator = calibrator
    reused = attach_timing_cache(config, job.timing_cache, can)
    monitored = watch(trt, config, lambda phase, done, steps: report({"progress": [phase, done, steps]}), stop)
    report({"started": {"monitored": monitored, "timing_cache": reused}})
    logger.lines.clear()
    serialized = builder.build_serialized_network(network, config)
    calibration = None
    if job.cache is not None:
        check_cached(calibrator, can.tensorrt, where)
        ranges = bundle.manifest.ranges
        calibration = {
            "source": "bundle",
            "observer": ranges.observer,
            "tensors": len(ranges.tensors),
            "unranged": len(ranges.unranged),
            "frames": ranges.frames,
            "preprocessing": ranges.preprocessing,
        }
    elif calibrator is not None and (calibrator.error is not None or serialized is not None):
        calibration = check_frames(calibrator, written)
    if serialized is None:
        raise EdgekitError(
            f"TensorRT {can.tensorrt} built nothing: {take_errors(logger) or 'it gives no reason'}",
            where=where,
            fix="where it ran out of memory, give it more or set a smaller --workspace; else try another --lane or "
            "--precision, and see `edgekit lint`",
        )
    seconds = time.monotonic() - begin
    said = warnings(logger)
    save_timing_cache(config, job.timing_cache, can)
    plan, file = bytes(serialized), job.folder / "plan"
    with writing(file):
        file.write_bytes(plan)
    del parser  # alive until here: the network uses its weights
    return plan, {
        "seconds": seconds,
        "workspace": bounds.workspace,
        "tactics": bounds.tactics,
        "timing_cache_reused": reused,
        "calibration": calibration,
        "warnings": said,
    }


def _calibrator(trt: Any, device: Device, job: BuildJob, bundle: Any) -> Any:
    if job.cache is not None:
        return cached_calibrator(trt, job.cache)
    if job.options.calibrate is None:
        return None
    artifact = job.artifact
    feeds = calibration_feeds(find_frames(job.options.calibrate), bundle.manifest.preprocessing, artifact.input)
    shape = artifact.profile.opt if artifact.profile else artifact.input.shape
    written = job.folder / "calibration.cache"
    return frames_calibrator(trt, device, feeds, (1, *shape[1:]), job.options.algorithm, written)


def run_check(job: CheckJob) -> dict[str, Any]:
    """The plan's answers to the golden frames, and its GPU compute time."""
    bundle = open_bundle(job.source)
    with load(bundle, "tensorrt", engine=job.plan) as predictor:
        checks = [dataclasses.asdict(c) for c in verify(bundle, predictor)]
        frames = bundle.golden_frames()
        predictor.raw({name: array[:1] for name, array in frames.items()})
        for _ in range(WARM_UPS):
            predictor.backend.time_once()
        times, begin = [], time.monotonic()
        while len(times) < LEAST_RUNS or time.monotonic() - begin < LEAST_SECONDS:
            times.append(predictor.backend.time_once()["compute"])
    return {"golden": checks, "timing": {"compute_ms": sum(times) / len(times), "runs": len(times)}}


def do(job: Any, report: Report, stop: Callable[[], bool]) -> dict[str, Any]:
    if isinstance(job, BuildJob):
        return run_build(job, report, stop)
    if isinstance(job, CheckJob):
        return run_check(job)
    trt = import_tensorrt()
    with Device() as device:
        return dataclasses.asdict(probe(trt, device))


def main() -> int:
    out = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    lock = threading.Lock()

    def report(document: dict[str, Any]) -> None:
        try:
            with lock:
                out.write(json.dumps(document) + "\n")
        except BrokenPipeError:
            pass  # the parent has gone, and the watcher knows

    job = pickle.load(sys.stdin.buffer)
    folder = getattr(job, "folder", None)
    stopped = threading.Event()

    def watch_parent() -> None:
        sys.stdin.buffer.read()  # until the parent closes it or dies
        stopped.set()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(STOPPED)

    threading.Thread(target=watch_parent, daemon=True).start()
    try:
        report({"result": do(job, report, stopped.is_set)})
    except EdgekitError as error:
        report({"error": {"what": error.what, "where": error.where, "fix": error.fix}})
    except BaseException:
        report({"fault": traceback.format_exc()})
    out.flush()
    os._exit(0)  # not through the watcher's read, and not through destructors of CUDA at exit


if __name__ == "__main__":
    sys.exit(main())
