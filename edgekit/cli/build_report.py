"""What `edgekit build` prints of the engines it built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from edgekit.engine.build import UNRUN, Built
from edgekit.engine.layers import summary


def document(engines: Sequence[Built]) -> dict[str, Any]:
    """For ``--json``: the kept engine's path, and every engine's sidecar with the reason why it was not kept."""
    return {
        "kept": str(engines[0].path) if engines[0].path else None,
        "engines": [
            {
                "path": str(b.path) if b.path else None,
                "reason": b.reason,
                "passes": b.passes,
                "layers": summary(b.sidecar.layers),
                "sidecar": dataclasses.asdict(b.sidecar),
            }
            for b in engines
        ],
        "unrun": UNRUN,
    }


def report(engines: Sequence[Built]) -> list[Any]:
    """Rich renderables: a table of the engines, then what was kept and why."""
    from rich.table import Table

    table = Table("precision", "lane", "size", "built in", "GPU compute", "golden frames", "layers", box=None)
    for built in engines:
        side = built.sidecar
        golden = "not checked" if side.golden is None else "pass" if built.passes else "FAIL"
        layers = ", ".join(f"{count} {name}" for name, count in summary(side.layers).items()) or "unknown"
        compute = f"{side.timing['compute_ms']:.3f} ms" if side.timing else "-"
        size = f"{side.plan_bytes / 2**20:.2f} MiB"
        table.add_row(side.precision, side.lane, size, f"{side.seconds:.1f} s", compute, golden, layers)
    kept = engines[0]
    lines = [f"kept: {kept.path}" if kept.path else "kept: none"]
    lines += [f"{b.sidecar.precision} was not kept: {b.reason}" for b in engines if b.reason]
    lines += [f"note: {note}" for note in kept.sidecar.notes]
    where = kept.sidecar.installed
    mode = f", power mode {kept.sidecar.power_mode}" if kept.sidecar.power_mode else ""
    lines.append(f"for TensorRT {where.tensorrt} on {where.gpu} (sm {where.sm}){mode}; plans do not move")
    return [table, *lines]
