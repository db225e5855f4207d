"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.bench.report.entries import Entry, highlights
from edgekit.bench.report.sections import columns, definitions, in_common, notes


def markdown(title: str, entries: Sequence[Entry], failed: Sequence[tuple[str, str]]) -> str:
    """``failed``: (label, what was wrong)."""
    lines = [f"# {title}", ""]
    for what, figure, unit, entry in highlights(entries):
        lines.append(f"- {what}: **{figure}** {unit} ({entry.label})")
    if entries:
        lines += ["", *([in_common(entries), ""] if in_common(entries) else []), *_table(entries), ""]
    about = list(dict.fromkeys((e.machine, e.software) for e in entries))
    lines += [f"{machine}. {software}." for machine, software in about]
    said = notes(entries)
    if said:
        lines += ["", *(f"{number}. {mark}" for number, mark, _ in said)]
    if failed:
        lines += ["", "Failed:", "", *(f"- {label}: {what}" for label, what in failed)]
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
        cells = [_cell(c.value(entry)) for c in shown]
        if said:
            cells.append(", ".join(str(number) for number, _, whose in said if entry in whose))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
