"""Measurements and comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.bench.document import in_threads
from edgekit.frames.terminal import rich_table

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "max", "jitter")
MOST_LAYERS = 40
_COLOURS = {"regression": "bold red", "improvement": "green", "same": "", "undecided": "yellow"}


def measurement_tables(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What `edgekit bench` prints."""
    subject, machine = document["subject"], document["machine"]
    yield _latencies(document)
    yield ""
    yield from _facts(document)
    name = machine["board"] or machine["processor"]
    yield f"machine      {name}, {machine['usable_cores']} cores; {machine['system']}"
    yield (
        f"software     {subject['runtime']}, edgekit {machine['edgekit']}, Python {machine['python']}, "
        f"numpy {machine['numpy']}"
    )
    for mark in document["marks"]:
        yield Text.assemble(("note", "yellow"), f"         {mark}")
    if document.get("trtexec"):
        yield f"\nthe same by trtexec:\n  {document['trtexec']}"
    if document["layers"]:
        yield _layers(document["layers"])
    if document["soak"]:
        yield _soak(document["soak"])


def _latencies(document: Mapping[str, Any]) -> Table:
    subject = document["subject"]
    size, frame = ("×".join(map(str, subject[key])) for key in ("size", "frame_size"))
    threads = f", {in_threads(subject['threads'])}" if subject.get("threads") else ""
    batch = f", batch {subject['batch']}" if subject["batch"] != 1 else ""
    frames = f", frames of {frame}" if frame != size else ""
    what = f"{subject['student']} {subject['precision']} at {size}, {subject['backend']}"
    rows = []
    for name, timing in document["timings"].items():
        values = [f"{timing[column]:.3f}" for column in COLUMNS]
        rows.append((name.replace("_", " "), *values, str(timing["count"]), timing["definition"]))
    numbers = (*COLUMNS, "runs")
    title = f"{subject['bundle']}: {what}{threads}{batch}{frames}"
    return rich_table(title, ("ms", *numbers, "what it is"), rows, right=numbers, overflow="ellipsis")


def _facts(document: Mapping[str, Any]) -> Iterator[str]:
    throughput = ", ".join(f"{v:.1f} frames/s {k.replace('_', ' ')}" for k, v in document["throughput"].items())
    yield f"throughput   {throughput}"
    start = document["start_up"]
    if start:
        yield (
            f"start-up     {start['seconds']:.2f} s to the first result in a fresh process: "
            f"imports {start['import_s']:.2f}, loading {start['load_s']:.2f}, first frame {start['first_s']:.2f}"
        )
    if document["memory"] and document["memory"]["peak_mib"]:
        yield f"memory       {document['memory']['peak_mib']:.0f} MiB at its peak, in that process"
    seen = document["telemetry"]
    if seen["total_mw"]:
        energy = seen["energy_mj_per_frame"]
        each = f", {energy:.2f} mJ per frame" if energy is not None else ""
        yield f"power        {seen['total_mw']['mean'] / 1000:.2f} W ({seen['total_is']}){each}"
    if seen["temperatures_c"]:
        name, hottest = max(seen["temperatures_c"].items(), key=lambda entry: entry[1]["max"])
        yield f"temperature  {hottest['max']:.1f} °C ({name}), {hottest['start']:.1f} at the start"
    if "compute" in document["timings"]:
        graph = "by a CUDA graph" if document["subject"].get("cuda_graph") else "without a CUDA graph"
        yield f"TensorRT     one query at a time, copies included, launched {graph}, no spinning"
    units = [unit for unit in ("gpu", "cpu", "emc") if seen[f"{unit}_mhz"] or seen[f"{unit}_load"]]
    if units:
        locked = {True: ", locked", False: ", not locked", None: ""}[seen["clocks_locked"]]
        yield f"clocks       {', '.join(_unit(seen, unit) for unit in units)}{locked}"
    if seen["power_mode"]:
        yield f"power mode   {seen['power_mode']}"


def _unit(seen: Mapping[str, Any], unit: str) -> str:
    """``GPU 98 % at 624 MHz``."""
    load, clock = seen[f"{unit}_load"], seen[f"{unit}_mhz"]
    parts = [f"{load['mean']:.0f} %"] if load else []
    parts += [f"at {clock['mean']:.0f} MHz"] if clock else []
    return " ".join([unit.upper(), *parts])


def _layers(layers: list[Mapping[str, Any]]) -> Table:
    total = sum(entry["ms"] for entry in layers) or 1.0
    shown = [(entry["layer"], entry["ms"]) for entry in layers[:MOST_LAYERS]]
    if len(layers) > MOST_LAYERS:
        rest = sum(entry["ms"] for entry in layers[MOST_LAYERS:])
        shown.append((f"… {len(layers) - MOST_LAYERS} more (all with --json)", rest))
    title = "layers, mean ms while profiled; profiling slows the network down"
    rows = [(name, f"{ms:.4f}", f"{100 * ms / total:.1f}") for name, ms in shown]
    return rich_table(title, ("layer", "ms", "%"), rows, right=("ms", "%"))


def _soak(soak: Mapping[str, Any]) -> Table:
    windows = soak["windows"]
    growth = "unknown" if soak["memory_growth_mib"] is None else f"{soak['memory_growth_mib']:+.1f} MiB"
    title = f"soak of {soak['seconds']:.0f} s: p99 drift ×{soak['p99_drift']:.3f}, memory {growth}"
    if soak.get("board_memory_growth_mib") is not None:
        title += f", the board's {soak['board_memory_growth_mib']:+.1f} MiB"
    columns, rows = ("at s", "runs", "p50", "p99", "max", "memory MiB", "°C", "W"), []
    for w in windows[:: max(1, len(windows) // 12)]:
        power = None if w["power"] is None else w["power"] / 1000
        values = [f"{w['at']:.0f}", str(int(w["count"])), *(f"{w[k]:.2f}" for k in ("p50", "p99", "max"))]
        rows.append([*values, *("–" if v is None else f"{v:.1f}" for v in (w["memory_mib"], w["hottest"], power))])
    return rich_table(title, columns, rows, right=columns, overflow="ellipsis")


def comparison_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What `edgekit bench compare` prints."""
    rows = [
        (
            pair["label"],
            finding["timing"].replace("_", " "),
            f"{finding['a']:.3f}",
            f"{finding['b']:.3f}",
            f"{finding['ratio']:.3f}",
            f"{finding['low']:.3f} – {finding['high']:.3f}",
            Text(finding["verdict"], _COLOURS[finding["verdict"]]),
        )
        for pair in found["pairs"]
        for finding in pair["findings"]
    ]
    names, numbers = ("measured", "timing"), ("A ms", "B ms", "B / A", "bounds", "verdict")
    title = f"A {found['a']}  →  B {found['b']}"
    yield rich_table(title, (*names, *numbers), rows, right=numbers, overflow="ellipsis")
    for pair in found["pairs"]:
        for line in pair["differences"]:
            yield Text.assemble(("note", "yellow"), f"  {pair['label']}: {line}")
    for side in ("a", "b"):
        for label in found[f"only_in_{side}"]:
            yield Text.assemble(("note", "yellow"), f"  only in {side.upper()}: {label}")
    yield ""
    yield found["rule"]
