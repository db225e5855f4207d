"""Running a suite: rows grouped by power mode, each written when it is finished and never measured twice."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgekit.bench.power import Interruption, current_mode, find_mode, lock_clocks, switch_to
from edgekit.bench.rows import SCHEMA, RowFile
from edgekit.bench.suite import Combination, Suite, read_suite
from edgekit.bench.telemetry.system import System
from edgekit.boards.power import PowerMode
from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError

LONGEST_ROW = 3600.0
Measure = Callable[[Combination, Suite], dict[str, Any]]


class RowFailure(Exception):
    """A row could not be measured. ``error``: {what, where, fix}."""

    def __init__(self, error: dict[str, Any]):
        super().__init__(error["what"])
        self.error = error


@dataclass
class Outcome:
    """How a suite ended. ``interruption``: what the user must do before it can continue, None where it is finished."""

    measured: int = 0
    already: int = 0
    failed: int = 0
    left: int = 0
    interruption: str | None = None


def run_suite(
    suite: Suite,
    file: RowFile,
    digests: dict[str, str],
    *,
    system: System | None = None,
    measure: Measure | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Measure every cell that ``file`` has no finished row of. ``digests``: bundle → hash of its manifest.

    A row that fails is written as such, tried again the next time, and does not stop the others. EdgekitError where a
    power mode does not exist.
    """
    system, measure = system or System(), measure or measure_in_child
    cells = [(cell, cell.key(digests[cell.bundle], suite.plan)) for cell in suite.cells()]
    waiting = [(cell, key) for cell, key in cells if key not in file.done]
    outcome = Outcome(already=len(cells) - len(waiting), left=len(waiting))
    say(f"{suite.name}: {len(cells)} rows, {outcome.already} done before")
    for mode, group in _groups(waiting, system):
        try:
            if mode:
                switch_to(system, mode)
                say(f"power mode {mode.name}: {len(group)} rows")
        except Interruption as stop:
            outcome.interruption = str(stop)
            return outcome
        if suite.lock_clocks and (trouble := lock_clocks(system)):
            say(trouble)
        for cell, key in group:
            row = _row(cell, key, suite, measure)
            file.append(row)
            outcome.left -= 1
            if row["status"] == "done":
                outcome.measured += 1
                say(f"{cell.label}: {_in_short(row['measurement'])}")
            else:
                outcome.failed += 1
                say(f"{cell.label}: failed: {row['error']['what']}")
    return outcome


def _groups(
    waiting: list[tuple[Combination, str]], system: System
) -> list[tuple[PowerMode | None, list[tuple[Combination, str]]]]:
    """By power mode: the present one first, since it costs no change, then in the suite's order."""
    groups: dict[str | None, list[tuple[Combination, str]]] = {}
    for cell, key in waiting:
        groups.setdefault(cell.power_mode, []).append((cell, key))
    found = [(find_mode(system, name) if name else None, group) for name, group in groups.items()]
    now = current_mode(system)
    return sorted(found, key=lambda entry: not (entry[0] and now and entry[0].name == now.name))


def _row(cell: Combination, key: str, suite: Suite, measure: Measure) -> dict[str, Any]:
    began = time.monotonic()
    measurement = error = None
    try:
        measurement = measure(cell, suite)
    except RowFailure as failure:
        error = failure.error
    return {
        "schema": SCHEMA,
        "key": key,
        "label": cell.label,
        "cell": asdict(cell),
        "suite": suite.name,
        "status": "failed" if error else "done",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 2),
        "measurement": measurement,
        "error": error,
    }


def measure_in_child(cell: Combination, suite: Suite) -> dict[str, Any]:
    """``edgekit bench`` in a process of its own, so that a row that runs out of memory does not end the others."""
    argv = [sys.executable, "-m", "edgekit", "bench", "measure", cell.bundle, "--json"]
    argv += ["--backend", cell.backend, "--precision", cell.precision]
    argv += ["--warm-up", str(suite.warm_up), "--duration", str(suite.duration), "--runs", str(suite.runs)]
    for name in ("lane", "threads", "engine"):
        if getattr(cell, name):
            argv += [f"--{name}", str(getattr(cell, name))]
    done = System().run(*argv, timeout=LONGEST_ROW)
    try:
        document = json.loads(done.out)
    except ValueError:
        document = None
    document = document if isinstance(document, dict) else {}
    if "timings" in document:
        return document
    if "error" in document:
        raise RowFailure(document["error"])
    last = (done.err.strip().splitlines() or ["it printed nothing"])[-1]
    if done.code is None:
        what = f"the process did not end: {last}"
    elif done.code < 0:
        what = f"the process was killed by signal {-done.code}; out of memory ends in signal 9"
    else:
        what = f"the process ended with {done.code}: {last}"
    raise RowFailure({"what": what, "where": None, "fix": None})


def _in_short(measurement: dict[str, Any]) -> str:
    timing = measurement["timings"].get("end_to_end") or next(iter(measurement["timings"].values()))
    return f"p50 {timing['p50']:.2f} ms, p99 {timing['p99']:.2f} ms"


def bundle_digests(suite: Suite) -> dict[str, str]:
    """bundle → hash of its manifest, every one opened and checked before anything is measured."""
    found, problems = {}, []
    for bundle in dict.fromkeys(cell.bundle for cell in suite.cells()):
        try:
            found[bundle] = hashlib.sha256(open_bundle(bundle).manifest.to_json().encode()).hexdigest()
        except EdgekitError as error:
            problems.append(error)
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more bundles of the suite)" if len(problems) > 1 else ""
        raise EdgekitError(f"{first.what}{more}", where=first.where, fix=first.fix)
    return found


def run_suite_file(path: Path, output: Path | None, *, say: Callable[[str], None], **options: Any) -> dict[str, Any]:
    """A suite's YAML → its rows in ``output`` (default ``<name>.jsonl`` here); the outcome, ready for JSON.

    ``options`` go to ``run_suite``.
    """
    suite = read_suite(path)
    output = output or Path(f"{suite.name}.jsonl")
    with RowFile(output) as file:
        outcome = run_suite(suite, file, bundle_digests(suite), say=say, **options)
    return {"suite": suite.name, "file": str(output), **asdict(outcome)}
