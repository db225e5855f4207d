"""Measuring one Predictor: a whole document, with the machine's state beside it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import numpy as np

from edgekit.bench.document import SCHEMA, timing
from edgekit.bench.host import host_steps
from edgekit.bench.machine import describe_machine
from edgekit.bench.soak import soak
from edgekit.bench.stopwatch import BenchPlan, Series, measure
from edgekit.bench.telemetry.sampler import Sampler
from edgekit.bench.telemetry.state import read_state
from edgekit.bench.telemetry.summary import marks, summarise_telemetry
from edgekit.bench.telemetry.system import System
from edgekit.bench.timed import PARTS, Timed
from edgekit.runtime.given import frame_size
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.preprocess import Frames
from edgekit.tasks import kind_of

OnProgress = Callable[[str, float], None]
PROFILED_RUNS = 50
LEAST_PIPELINED = 10


def measure_predictor(
    predictor: Predictor,
    frames: Frames,
    plan: BenchPlan,
    *,
    system: System | None = None,
    progress: OnProgress = lambda step, done: None,
    layers: bool = False,
    soak_seconds: float = 0.0,
) -> dict[str, Any]:
    """Time ``predictor`` on ``frames`` (n, H, W, C) by modality, of any size; a document, see ``document``.

    The host's steps always; the parts of a query, the throughput of overlapping queries and the layers where the
    backend offers them (see ``timed``). progress gets (what is measured, 0 to 1).
    """
    system = system or System()
    backend = predictor.backend
    batch = backend.artifact.input.shape[0]
    batch = batch if isinstance(batch, int) else 1
    once = host_steps(predictor, frames, batch)
    before = read_state(system)
    throughput, layer_times, soaked = {}, None, None
    with Sampler(system) as sampler:
        host = measure(once, plan, progress=lambda done: progress("end to end", done))
        series = [host]
        throughput["end_to_end"] = host.throughput * batch
        if isinstance(backend, Timed):
            series.append(measure(lambda: _parts(backend), plan, progress=lambda done: progress("GPU", done)))
            throughput["pipelined"] = _pipelined(backend, plan, host) * batch
            if layers:
                layer_times = [{"layer": name, "ms": ms} for name, ms in backend.profile(PROFILED_RUNS)]
    if soak_seconds:
        soaked = soak(once, soak_seconds, system, progress=lambda done: progress("soak", done))
    telemetry = summarise_telemetry(
        sampler, before, read_state(system), [(s.began, s.ended) for s in series], host.count * batch
    )
    return {
        "schema": SCHEMA,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "subject": _subject(predictor, batch, frames),
        "machine": describe_machine(system.root),
        "plan": {"warm_up": plan.warm_up, "duration": plan.duration, "runs": plan.runs},
        "timings": {name: timing(name, values) for s in series for name, values in s.values.items()},
        "throughput": {name: round(value, 3) for name, value in throughput.items()},
        "start_up": None,
        "memory": None,
        "accuracy": _accuracy(predictor),
        "telemetry": telemetry,
        "layers": layer_times,
        "soak": soaked.as_json() if soaked else None,
        "marks": [*marks(telemetry), *(soaked.marks() if soaked else [])],
    }


def _parts(backend: Timed) -> dict[str, float]:
    """One query; its latency is the sum of its three device times, as trtexec adds them."""
    taken = backend.time_once()
    parts = {name: float(taken[name]) for name in PARTS}
    return {"latency": parts["h2d"] + parts["compute"] + parts["d2h"], **parts}


def _pipelined(backend: Timed, plan: BenchPlan, host: Series) -> float:
    """Queries per second when they overlap, over about the plan's duration."""
    seconds = max(float(np.median(host.values["end_to_end"])) / 1000, 1e-6)
    backend.time_many(max(LEAST_PIPELINED, math.ceil(plan.warm_up / seconds)))
    count = max(LEAST_PIPELINED, plan.runs, math.ceil(plan.duration / seconds))
    return 1000 * count / backend.time_many(count)


def _accuracy(predictor: Predictor) -> list[dict[str, Any]]:
    """Per task the primary metric that was measured at export of what runs here; empty where none was."""
    scores = predictor.manifest.metrics.get(predictor.backend.artifact.precision) or {}
    found = []
    for task in predictor.tasks:
        kind = kind_of(task)
        value = (scores.get(task.name) or {}).get(kind.primary.name)
        if isinstance(value, (int, float)):
            about = {"task": task.name, "kind": kind.name, "metric": kind.primary.name}
            found.append({**about, "value": value, "higher_is_better": kind.primary.higher_is_better})
    return found


def _subject(predictor: Predictor, batch: int, frames: Frames) -> dict[str, Any]:
    manifest = predictor.manifest
    return {
        **predictor.describe(),
        "digest": hashlib.sha256(manifest.to_json().encode()).hexdigest(),
        "batch": batch,
        "frame_size": list(frame_size(frames)),
        "parameters": manifest.student.parameters,
        "multiply_adds": manifest.student.multiply_adds,
    }
