"""How long a fresh process takes from its start to the first result, and how much memory it needs for it.

Run as ``python -m edgekit.bench.cold_start '{"bundle": …}'`` it is that process; it prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from edgekit.bench.telemetry.system import System

RUNS = 3  # the second run still allocates a little more memory than the first
LONGEST = 600.0


def cold_start(options: dict[str, Any]) -> dict[str, Any]:
    """Load and infer in a process of its own; ``options`` are the keywords of ``edgekit.load``.

    ``seconds`` from starting Python to the first result, of which ``import_s``, ``load_s`` and ``first_s`` are
    edgekit's import, opening the bundle (with checking all its files), and the first inference; ``peak_mib`` of memory.
    RuntimeError, with the last line of its errors, where the process fails.
    """
    began = time.monotonic()
    program = (sys.executable, "-m", "edgekit.bench.cold_start", json.dumps(options))
    done = System().run(*program, timeout=LONGEST)
    lines = done.out.strip().splitlines()
    if not done.good or not lines:
        # A traceback ends with the exception, whose further lines are indented as all before it.
        errors = [line for line in done.err.splitlines() if line[:1].strip()]
        raise RuntimeError(errors[-1] if errors else f"it ended with {done.code}")
    found = json.loads(lines[-1])
    # time.monotonic is one clock for all processes of a machine.
    return {"seconds": round(found.pop("first_result_at") - began, 4), **found}


def _main(options: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    from edgekit.bench.machine import peak_memory_mib
    from edgekit.runtime.load import load

    imported = time.monotonic()
    with load(**options) as predictor:
        loaded = time.monotonic()
        frame = predictor.blank()
        predictor.infer(frame)
        first = time.monotonic()
        for _ in range(RUNS - 1):
            predictor.infer(frame)
        peak = peak_memory_mib()
    return {
        "first_result_at": first,
        "import_s": round(imported - began, 4),
        "load_s": round(loaded - imported, 4),
        "first_s": round(first - loaded, 4),
        "peak_mib": None if peak is None else round(peak, 1),
    }


if __name__ == "__main__":
    print(json.dumps(_main(json.loads(sys.argv[1]))))
