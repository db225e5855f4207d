"""The child process that drives TensorRT: ``python -m edgekit.engine.worker FD``.

It reads one job as a line of JSON from stdin and writes what happens as lines of JSON to the file descriptor FD;
TensorRT may print to stdout and stderr what it likes. stdin stays open: once it ends the parent has gone or wants an
end, and the child removes what it wrote and goes too, even in the middle of a build.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.boards.memory import parse_meminfo
from edgekit.bundle.bundle import open_bundle
from edgekit.engine.calibration_frames import calibration_feeds, find_frames
from edgekit.engine.calibrator import cached_calibrator, check_cached, check_frames, frames_calibrator
from edgekit.engine.capabilities import Capabilities, make_builder, probe
from edgekit.engine.configure import configure
from edgekit.engine.job import BuildJob, CheckJob, ProbeJob
from edgekit.engine.layers import inspect_layers
from edgekit.engine.memory import limits
from edgekit.engine.network import parse_network
from edgekit.engine.progress import watch
from edgekit.engine.timing_cache import attach, save
from edgekit.errors import EdgekitError
from edgekit.frames.files import writing
from edgekit.runtime.cuda.device import Device
from edgekit.runtime.load import load
from edgekit.runtime.tensorrt.log import take_errors, tensorrt_logger, warnings
from edgekit.runtime.tensorrt.module import import_tensorrt
from edgekit.runtime.tensorrt.plan import deserialise
from edgekit.runtime.verify import verify

JOBS = {kind.__name__: kind for kind in (BuildJob, CheckJob, ProbeJob)}
WARM_UPS, LEAST_RUNS, LEAST_SECONDS = 20, 100, 0.2
STOPPED = 3
Report = Callable[[dict[str, Any]], None]


def build(job: BuildJob, report: Report, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Build ``job`` and write ``plan`` into its folder; what the sidecar needs to know of it."""
    trt = import_tensorrt()
    with Device() as device, device.current():
        can = probe(trt, device)
        plan, result = _build(trt, device, can, job, report, stop)
        where = str(Path(job.folder) / "plan")
        loaded = deserialise(trt, device, plan, where, job.dla_core, "edgekit build, with another --optimization-level")
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
    model, where = bundle.read(job.file), str(bundle.path(job.file))
    network, parser = parse_network(trt, builder, model, strong=job.lane == "strong", where=where)
    bounds = limits(device.memory_free(), _system_available(), job.workspace, shared=device.gpu.integrated)
    config = configure(trt, builder, network, job, bounds)
    calibrator, written = _calibrator(trt, device, job, bundle), Path(job.folder) / "calibration.cache"
    if calibrator is not None:
        config.int8_calibrator = calibrator
    reused = attach(config, Path(job.timing_cache), can) if job.timing_cache else False
    monitored = watch(trt, config, lambda phase, done, steps: report({"progress": [phase, done, steps]}), stop)
    report({"started": {"monitored": monitored, "timing_cache": reused}})
    logger.lines.clear()
    serialized = builder.build_serialized_network(network, config)
    calibration = None
    if job.cache is not None:
        check_cached(calibrator, can.tensorrt, where)
        calibration = {"source": "bundle"}
    elif job.calibrate is not None:
        if calibrator.error is not None:
            raise calibrator.error
        calibration = check_frames(calibrator, written) if serialized is not None else None
    if serialized is None:
        raise EdgekitError(
            f"TensorRT {can.tensorrt} built nothing: {take_errors(logger) or 'it gives no reason'}",
            where=where,
            fix="where it ran out of memory, give it more or set a smaller --workspace; else try another --lane or "
            "--precision, and see `edgekit lint`",
        )
    seconds = time.monotonic() - begin
    said = warnings(logger)
    if job.timing_cache:
        save(config, Path(job.timing_cache), can)
    plan, file = bytes(serialized), Path(job.folder) / "plan"
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
        return cached_calibrator(trt, job.cache.encode())
    if job.calibrate is None:
        return None
    tensor = next(a.input for a in bundle.manifest.artifacts if a.file == job.file)
    files = find_frames(Path(job.calibrate))
    feeds = calibration_feeds(files, bundle.manifest.preprocessing, tensor)
    shape = job.profile[1] if job.profile else job.input_shape
    written = Path(job.folder) / "calibration.cache"
    return frames_calibrator(trt, device, feeds, (1, *shape[1:]), job.algorithm, written)


def _system_available() -> int | None:
    try:
        return parse_meminfo(Path("/proc/meminfo").read_text(encoding="utf-8")).available
    except OSError:
        return None


def check(job: CheckJob, report: Report) -> dict[str, Any]:
    """The plan's answers to the golden frames, and its GPU compute time."""
    bundle = open_bundle(job.source)
    with load(bundle, "tensorrt", engine=job.plan) as predictor:
        checks = [dataclasses.asdict(c) for c in verify(bundle, predictor)]
        frames = bundle.golden(["frames"])["frames"]
        predictor.infer(frames[0])
        for _ in range(WARM_UPS):
            predictor.backend.time_once()
        times, begin = [], time.monotonic()
        while len(times) < LEAST_RUNS or time.monotonic() - begin < LEAST_SECONDS:
            times.append(predictor.backend.time_once()["compute"])
    return {"golden": checks, "timing": {"compute_ms": sum(times) / len(times), "runs": len(times)}}


def do(job: Any, report: Report, stop: Callable[[], bool]) -> dict[str, Any]:
    if isinstance(job, BuildJob):
        return build(job, report, stop)
    if isinstance(job, CheckJob):
        return check(job, report)
    trt = import_tensorrt()
    with Device() as device:
        return dataclasses.asdict(probe(trt, device))


def read_job(line: str) -> Any:
    """A job from the line that ``child`` wrote."""
    document = json.loads(line)
    kind = JOBS[document.pop("job")]
    for name in ("input_shape", "profile"):
        if document.get(name) is not None:
            document[name] = _tuples(document[name])
    return kind(**document)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def main() -> int:
    out = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    lock = threading.Lock()

    def report(document: dict[str, Any]) -> None:
        try:
            with lock:
                out.write(json.dumps(document) + "\n")
        except BrokenPipeError:
            pass  # the parent has gone, and the watcher knows

    job = read_job(sys.stdin.readline())
    folder = getattr(job, "folder", None)
    stopped = threading.Event()

    def watch_parent() -> None:
        sys.stdin.read()  # until the parent closes it or dies
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
