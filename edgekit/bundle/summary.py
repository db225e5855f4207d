"""What a bundle holds, as tables and as one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Manifest, Sensor
from edgekit.frames.terminal import rich_table
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import RGB


def bundle_document(bundle: Bundle) -> dict[str, Any]:
    """Everything the tables show, ready for JSON."""
    m = bundle.manifest
    return {
        "bundle": str(bundle.source),
        **{key: getattr(m, key) for key in ("name", "schema", "edgekit", "created", "target", "board", "jetpack")},
        "files": {name: {"bytes": (bundle.folder / name).stat().st_size, "sha256": h} for name, h in m.files.items()},
        "not_part_of_it": bundle.strays(),
        "student": vars(m.student),
        "tasks": [{"name": t.name, "kind": t.kind, "classes": list(t.classes)} for t in m.tasks],
        "preprocessing": asdict(m.preprocessing),
        "artifacts": [{**asdict(a), "bytes": (bundle.folder / a.file).stat().st_size} for a in m.artifacts],
        "golden": {"frames": m.golden.count, "source": m.golden.source, "tolerance": m.golden.tolerance},
        "ranges": _ranges(m),
        "parity": list(m.parity),
        "metrics": m.metrics,
        "quantization": m.quantization,
        "provenance": m.provenance,
    }


def tables(bundle: Bundle) -> list[Any]:
    """Rich renderables: what it is, its artifacts, its scores, its parity."""
    out = [_about(bundle), _artifacts(bundle)]
    if bundle.manifest.metrics:
        out.append(_metrics(bundle.manifest))
    if bundle.manifest.parity:
        out.append(_parity(bundle.manifest))
    return out


def _ranges(manifest: Manifest) -> dict[str, Any] | None:
    ranges = manifest.ranges
    if ranges is None:
        return None
    counts = {"tensors": len(ranges.tensors), "unranged": list(ranges.unranged)}
    return {"observer": ranges.observer, "frames": ranges.count, **counts}


def _about(bundle: Bundle) -> Any:
    m, pre, ranges = bundle.manifest, bundle.manifest.preprocessing, _ranges(bundle.manifest)
    where = ", ".join(filter(None, (m.board, m.jetpack and f"JetPack {m.jetpack}")))
    scale = f", metric depth × {pre.depth_scale:g}" if pre.depth_scale != 1 else ""
    room = f" into {pre.content[0]}×{pre.content[1]} of it" if pre.content else ""
    facts = {
        "made by": f"edgekit {m.edgekit}, {m.created}",
        "target": f"{m.target}{f' ({where})' if where else ''}",
        "student": f"{m.student.name}, width {m.student.width}, {m.student.parameters:,} parameters, "
        f"{m.student.multiply_adds / 1e9:.2f} GMAC",
        "tasks": "; ".join(f"{t.name} ({_what(t)})" for t in m.tasks),
        "frames": f"any size → {pre.size[0]}×{pre.size[1]}, {pre.fit}{room}, "
        + " + ".join(map(_seen, pre.sensors()))
        + scale
        + (f"; can do without {', '.join(pre.may_lack)}" if pre.may_lack else ""),
        "golden": f"{m.golden.count} frames, {m.golden.source}",
        "licence of the data": str(m.provenance.get("licence", "not stated")),
        **({"attribution": str(m.provenance["attribution"])} if "attribution" in m.provenance else {}),
        "calibration": "none"
        if ranges is None
        else f"{ranges['tensors']} tensors by {ranges['observer']} over {ranges['frames']} frames"
        + (f", {len(ranges['unranged'])} without a range" if ranges["unranged"] else ""),
        "files": f"{len(m.files)}, {decimal(bundle.size())}",
    }
    table = Table(title=f"bundle {m.name}", title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, fact in facts.items():
        table.add_row(name, Text(fact))
    return table


def _seen(sensor: Sensor) -> str:
    name, channels = sensor.task.name, sensor.task.channels
    return name if name == RGB.name else f"{name} ({channels} × {sensor.dtype})"


def _what(task: Task) -> str:
    return f"{len(task.classes)} classes" if task.classes else " ".join(filter(None, (task.kind, task.unit)))


def _artifacts(bundle: Bundle) -> Any:
    rows = [
        (
            a.lane,
            a.precision,
            a.file,
            decimal((bundle.folder / a.file).stat().st_size),
            str(a.opset),
            ", ".join(f"{t.name} {'×'.join(map(str, t.shape))} {t.dtype}" for t in a.inputs),
            ", ".join(o.name for o in a.outputs),
            a.versions or "-",
        )
        for a in bundle.manifest.artifacts
    ]
    columns = ("lane", "precision", "file", "size", "opset", "input", "outputs", "TensorRT")
    return rich_table("artifacts", columns, rows, right=("size", "opset"), overflow="ellipsis")


def _metrics(manifest: Manifest) -> Any:
    """The primary metric of every task, per step of the export."""
    split = manifest.provenance.get("split")
    columns = [f"{task.name} {kind_of(task).primary.name}" for task in manifest.tasks]
    rows = []
    for step, scores in manifest.metrics.items():
        values = [_primary_metric(scores, task) for task in manifest.tasks]
        rows.append((step, *(f"{v:.4f}" if isinstance(v, (int, float)) else "-" for v in values)))
    title = f"scores{f' on {split}' if split else ''}"
    return rich_table(title, ("step", *columns), rows, right=columns, overflow="ellipsis")


def _primary_metric(scores: Any, task: Task) -> Any:
    """None where the export stored no score of the task."""
    own = scores.get(task.name) if isinstance(scores, dict) else None
    return own.get(kind_of(task).primary.name) if isinstance(own, dict) else None


def _parity(manifest: Manifest) -> Any:
    columns = ("step", "task", "metric", "value", "limit", "holds")
    rows = [[_cell(row.get(column)) for column in columns] for row in manifest.parity]
    return rich_table("parity", columns, rows, right=("value", "limit"), overflow="ellipsis")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
