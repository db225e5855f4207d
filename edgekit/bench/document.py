"""A measurement as one JSON document, and files of them: what ``bench --json`` prints and a suite's rows are.

schema   1
created  UTC, ISO 8601
subject  what was measured: bundle, student, size, batch, precision, and what the backend says of itself
machine  see ``machine``
plan     warm_up and duration in seconds, runs
accuracy per task {task, kind, metric, value, higher_is_better}, as measured at export; empty where it was not
timings  name → ``definition``, the fields of ``Summary`` and ``samples_ms``, every run in the order taken
throughput  name → queries per second
start_up, memory, telemetry, soak, layers, trtexec   or None
unrun    which of the code behind these numbers has not run on hardware yet, or None
marks    what a reader of the numbers must know, one sentence each
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from edgekit.bench.statistics import summarise
from edgekit.errors import EdgekitError
from edgekit.frames.files import write_text
from edgekit.frames.outside import read_json
from edgekit.frames.typed import Misfit, as_typed

SCHEMA = 1
_LARGEST = 1e18
_GIVE = "give a file that `edgekit bench --json` or `edgekit bench suite` wrote"
DEFINITIONS = {
    "end_to_end": "host time from the uint8 frame to the maps at the frame's own size",
    "prepare": "host time of the pre-processing before the graph",
    "graph": "host time of the graph alone",
    "finish": "host time of the post-processing after the graph",
    "compute": "GPU Compute Time: event pair around the enqueue",
    "h2d": "H2D Latency: event pair around the copies to the device",
    "d2h": "D2H Latency: event pair around the copies to the host",
    "latency": "Latency: H2D + GPU compute + D2H",
    "enqueue": "Enqueue Time: host time of the launch",
    "host": "End-to-End Host Latency: host time from the first copy to the last one complete",
}
"""The timings' names, and what each is; those from ``compute`` on are defined as trtexec defines them."""


def timing(name: str, samples: np.ndarray) -> dict[str, Any]:
    """An entry of ``timings``. Samples keep five significant digits, which is finer than the clock."""
    return {
        "definition": DEFINITIONS[name],
        **{key: _digits(value) for key, value in asdict(summarise(samples)).items()},
        "samples_ms": [_digits(float(v)) for v in samples],
    }


def _digits(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.5g}")


def write_measurement(document: Mapping[str, Any], path: Path) -> None:
    """Write a ``.json`` that ``read_measurements`` reads."""
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_measurements(path: Path) -> dict[str, dict[str, Any]]:
    """The measurements in a file, by label: one in a ``.json``, any number in a suite's ``.jsonl``.

    A last line that is cut off is left out; of several rows of one cell the last counts. EdgekitError where the
    file is missing or holds something else.
    """
    try:
        if path.suffix == ".jsonl":
            from edgekit.bench.rows import read_rows

            rows = [row for row in read_rows(path) if row["status"] == "done"]
            for row in rows:
                check_measurement(row["measurement"], str(path))
            return {row["label"]: row["measurement"] for row in rows}
        document = read_json(path, what="the measurement", fix=_GIVE)
    except FileNotFoundError:
        raise EdgekitError("the file does not exist", where=str(path), fix=_GIVE) from None
    check_measurement(document, str(path))
    return {measurement_label(document): document}


class _Timing(TypedDict, total=False):
    definition: str
    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    jitter: float
    samples_ms: list[float]


class _Subject(TypedDict, total=False):
    student: str
    precision: str
    backend: str
    runtime: str
    size: list[int]
    threads: int | None


class _Machine(TypedDict, total=False):
    board: str | None
    processor: str | None
    usable_cores: int
    python: str
    edgekit: str


class _Kind(TypedDict, total=False):
    kind: str


class _Accuracy(_Kind):
    task: str
    metric: str
    value: float
    higher_is_better: bool


class _Power(TypedDict):
    mean: float


class _Temperature(TypedDict):
    max: float


class _Telemetry(TypedDict, total=False):
    power_mode: str | None
    total_mw: _Power | None
    energy_mj_per_frame: float | None
    temperatures_c: dict[str, _Temperature]


class _Memory(TypedDict, total=False):
    peak_mib: float | None


class Measurement(TypedDict, total=False):
    """What is read of a measurement from a file; there may be more in it."""

    subject: _Subject
    machine: _Machine
    timings: dict[str, _Timing]
    throughput: dict[str, float]
    accuracy: list[_Accuracy] | None
    telemetry: _Telemetry | None
    memory: _Memory | None
    marks: list[str]


def check_measurement(document: Any, where: str) -> None:
    """EdgekitError for anything but a measurement of this schema, with fields of their types and numbers of sizes."""
    if not isinstance(document, Mapping) or not isinstance(document.get("timings"), Mapping):
        raise EdgekitError("this is not a measurement", where=where, fix=_GIVE)
    if not all(isinstance(document.get(part), Mapping) for part in ("subject", "machine")):
        raise EdgekitError("the measurement does not say what was measured, and where", where=where, fix=_GIVE)
    if document.get("schema") != SCHEMA:
        raise EdgekitError(
            f"the measurement has schema {document.get('schema')!r}, this edgekit reads {SCHEMA}",
            where=where,
            fix="measure again, or read it with the edgekit that made it",
        )
    for name, entry in document["timings"].items():
        samples = entry.get("samples_ms") if isinstance(entry, Mapping) else None
        whole = isinstance(samples, list) and samples and all(isinstance(v, (int, float)) and v >= 0 for v in samples)
        if not whole:
            raise EdgekitError(f"the timing '{name[:60]}' has no samples", where=where, fix="measure again")
    try:
        as_typed(Measurement, document, "the measurement")
        _check_numbers(document)
    except Misfit as error:
        raise EdgekitError(str(error), where=where, fix=_GIVE) from None


def _check_numbers(value: Any) -> None:
    """Misfit for a number beyond any that is measured, with which nothing can be computed."""
    if isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            _check_numbers(entry)
    elif isinstance(value, (int, float)) and not abs(value) <= _LARGEST:
        raise Misfit(f"the measurement holds the number {value:g}, which nothing has")


def in_threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread" if count == 1 else f"{count} threads"


def measurement_label(document: Mapping[str, Any]) -> str:
    """A short name of what was measured: ``repseg 544×960 int8 onnxruntime``."""
    subject = document["subject"]
    size = "×".join(map(str, subject.get("size") or ("?",)))
    first, *rest = (str(subject.get(key, "?")) for key in ("student", "precision", "backend"))
    return " ".join([first, size, *rest])
