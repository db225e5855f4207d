"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.bench.report.entries import Entry, highlights
from edgekit.bench.report.read import Measurements
from edgekit.bench.report.sections import columns, definitions, in_common, machines, notes
from edgekit.frames.markdown import escaped


def report_markdown(found: Measurements) -> str:
    """Highlights, the table, notes and failures."""
    entries = found.entries
    lines = [f"# {found.title}", ""]
    for what, figure, unit, entry in highlights(entries):
        lines.append(f"- {what}: **{figure}** {unit} ({entry.label})")
    if entries:
        lines += ["", *([in_common(entries), ""] if in_common(entries) else []), *_table(entries), ""]
    lines += [f"{machine}. {software}." for machine, software in machines(entries)]
    said = notes(entries)
    if said:
        lines += ["", *(f"{number}. {mark}" for number, mark, _ in said)]
    if found.failed:
        lines += ["", "Failed:", "", *(f"- {label}: {what}" for label, what in found.failed)]
    if entries:
        lines += ["", *(f"- *{name}*: {text}" for name, text in definitions(columns(entries)))]
    return "\n".join(lines).rstrip() + "\n"


def _table(entries: Sequence[Entry]) -> list[str]:
    shown, said = columns(entries), notes(entries)
    lines = [
        "| " + " | ".join([*(c.name for c in shown), *(["notes"] if said else [])]) + " |",
        "|" + "".join("---|" if c.text else "--:|" for c in shown) + ("---|" if said else ""),
    ]
    for entry in entries:
        cells = [escaped(c.value(entry)) for c in shown]
        if said:
            cells.append(", ".join(str(number) for number, _, whose in said if entry in whose))
        lines.append("| " + " | ".join(cells) + " |")
    return lines
