"""A report as one HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from edgekit.bench.report.entries import Entry, comparable, frontier, highlights, names
from edgekit.bench.report.plot import Bar, Point, bars, marker_key, scatter
from edgekit.bench.report.sections import columns, definitions, in_common, notes
from edgekit.bench.report.style import CSS

_PARTS = ("precision", "size", "backend")
_SHAPES = {"int8": 0, "fp16": 1, "fp32": 2}


def html(title: str, entries: Sequence[Entry], failed: Sequence[tuple[str, str]], created: str) -> str:
    """``failed``: (label, what was wrong); ``created``: when, as it is to be shown."""
    about = dict.fromkeys((e.machine, e.software) for e in entries)
    parts = [
        "<header>",
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(machine)}. {escape(software)}.</p>" for machine, software in about),
        "</header>",
        _cards(entries),
        _trade(entries),
        _latency(entries),
        _energy(entries),
        _table(entries),
        _notes(entries, failed),
        f"<footer>{escape(created)}. Written by edgekit bench report.</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>"
        + "\n".join(parts)
        + "</main></body></html>\n"
    )


def _cards(entries: Sequence[Entry]) -> str:
    cards = [
        f'<div class="card"><div class="what">{what}</div><div class="figure">{escape(figure)} '
        f'<small>{escape(unit)}</small></div><div class="which">{escape(entry.label)}</div></div>'
        for what, figure, unit, entry in highlights(entries)
    ]
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _colours(entries: Sequence[Entry]) -> dict[str, int]:
    return {student: i for i, student in enumerate(dict.fromkeys(e.student for e in entries))}


def _trade(entries: Sequence[Entry]) -> str:
    """Accuracy over latency, where there is any to compare."""
    rated = comparable(entries)
    if len(rated) < 2:
        return ""
    colours, best = _colours(entries), frontier(rated)
    points = [
        Point(
            e.p50,
            e.main_accuracy.shown,
            name if e in best else "",
            _hint(e),
            colours[e.student],
            _SHAPES[e.precision],
        )
        for e, name in zip(rated, names(rated, (*_PARTS, "power_mode")), strict=True)
    ]
    accuracy = rated[0].main_accuracy
    direction = "higher" if accuracy.higher_is_better else "lower"
    return _section(
        "Accuracy and latency",
        f"The dashed line joins those that none beats in both; to the left is faster, {direction} is more accurate.",
        scatter(points, [(e.p50, e.main_accuracy.shown) for e in best], "p50 end to end, ms", accuracy.unit)
        + _legend(entries, rated, shapes=True),
    )


def _latency(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    rows = _bars(entries, entries, lambda e: e.p50, lambda e: e.p99)
    about = "p50 end to end as a bar, p99 at the end of the line."
    return _section("Latency", about, bars(rows, "ms") + _legend(entries, entries))


def _energy(entries: Sequence[Entry]) -> str:
    metered = [e for e in entries if e.energy is not None]
    if not metered:
        return ""
    rows = _bars(entries, metered, lambda e: e.energy, lambda e: None)
    about = "The board's total power, integrated over the run, per frame."
    return _section("Energy per frame", about, bars(rows, "mJ per frame", "{:.1f}") + _legend(entries, metered))


def _bars(
    entries: Sequence[Entry],
    shown: Sequence[Entry],
    value: Callable[[Entry], float],
    upper: Callable[[Entry], float | None],
) -> list[Bar]:
    """Of those shown, least first within each power mode; ``entries``: all, which the colours are counted from."""
    modes, colours = list(dict.fromkeys(e.power_mode for e in shown)), _colours(entries)
    short = dict(zip(map(id, shown), names(shown, _PARTS, within="power_mode"), strict=True))
    return [
        Bar(
            short[id(e)],
            value(e),
            _hint(e),
            colours[e.student],
            upper(e),
            f"Power mode {mode or 'unknown'}" if len(modes) > 1 else "",
        )
        for mode in modes
        for e in sorted((e for e in shown if e.power_mode == mode), key=value)
    ]


def _table(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    shown, said = columns(entries), notes(entries)
    head = "".join(f'<th{_text_class(c.text)} scope="col">{escape(c.name)}</th>' for c in shown)
    body = []
    for entry in entries:
        cells = [f"<td{_text_class(c.text)}>{escape(c.value(entry))}</td>" for c in shown]
        links = " ".join(f'<a href="#note-{number}">{number}</a>' for number, _, whose in said if entry in whose)
        if links:
            cells[0] = cells[0].replace("</td>", f" <sup>{links}</sup></td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    terms = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in definitions(shown))
    return _section(
        "All measurements",
        in_common(entries),
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
        f"<dl>{terms}</dl>",
    )


def _notes(entries: Sequence[Entry], failed: Sequence[tuple[str, str]]) -> str:
    lines = []
    for number, mark, whose in notes(entries):
        whom = "all" if len(whose) == len(entries) else ", ".join(e.label for e in whose)
        lines.append(f'<li id="note-{number}"><b>{number}</b> {escape(mark)} ({escape(whom)})</li>')
    lines += [f'<li class="bad"><b>failed</b> {escape(label)}: {escape(what)}</li>' for label, what in failed]
    return _section("Notes", "", f'<ul class="notes">{"".join(lines)}</ul>') if lines else ""


def _legend(entries: Sequence[Entry], shown: Sequence[Entry], shapes: bool = False) -> str:
    """The colours of the students shown; ``entries``: all of the report, which the colours are counted from."""
    colours = {s: c for s, c in _colours(entries).items() if any(e.student == s for e in shown)}
    precisions = [p for p in _SHAPES if any(e.precision == p for e in shown)] if shapes else []
    keys = [f"<span>{marker_key(c, 0)}{escape(student)}</span>" for student, c in colours.items() if len(colours) > 1]
    keys += [f"<span>{_plain(marker_key(0, _SHAPES[p]))}{p}</span>" for p in precisions if len(precisions) > 1]
    return f'<div class="legend">{"".join(keys)}</div>' if keys else ""


def _plain(key: str) -> str:
    return key.replace("mark c0", "mark plain")


def _section(name: str, about: str, content: str) -> str:
    said = f'<p class="about">{escape(about)}</p>' if about else ""
    return f"<section><h2>{escape(name)}</h2>{said}{content}</section>"


def _hint(entry: Entry) -> str:
    energy = "" if entry.energy is None else f", {entry.energy:.1f} mJ per frame"
    accuracy = "" if not entry.accuracy else f", {entry.main_accuracy.shown:.2f} {entry.main_accuracy.unit}"
    return f"{entry.label}: p50 {entry.p50:.2f} ms, p99 {entry.p99:.2f} ms{energy}{accuracy}"


def _text_class(text: bool) -> str:
    return ' class="text"' if text else ""
