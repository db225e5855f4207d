"""The parts of a report, as Markdown and as a page: the columns of the table, the notes, the definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgekit.bench.report.entries import Entry


@dataclass(frozen=True)
class Column:
    """``value`` of an entry as text, "–" where it has none; ``about`` says what it is, "" where the name does."""

    name: str
    value: Callable[[Entry], str]
    about: str = ""
    text: bool = False


def _figure(get: Callable[[Entry], float | None], digits: int) -> Callable[[Entry], str]:
    def shown(entry: Entry) -> str:
        value = get(entry)
        return "–" if value is None else f"{value:,.{digits}f}"

    return shown


def columns(entries: Sequence[Entry]) -> list[Column]:
    """The table's columns for these entries, without those that no entry fills or that are ``in_common``."""
    filled = [c for c in _columns(entries) if any(c.value(e) != "–" for e in entries)]
    return [c for c in filled if not _constant(c, entries)]


def in_common(entries: Sequence[Entry]) -> str:
    """What all entries have in common, as a sentence; "" where nothing is."""
    same = [f"{c.name} {c.value(entries[0])}" for c in _columns(entries) if _constant(c, entries)]
    return f"All: {', '.join(same)}." if same else ""


def _constant(column: Column, entries: Sequence[Entry]) -> bool:
    named = column.text and column.name != "student" and len(entries) > 1
    return named and len({column.value(e) for e in entries}) == 1 and column.value(entries[0]) != "–"


def _columns(entries: Sequence[Entry]) -> list[Column]:
    units = list(dict.fromkeys(a.unit for e in entries for a in e.accuracy))
    return [
        Column("student", lambda e: e.student, text=True),
        Column("size", lambda e: e.size, text=True),
        Column("precision", lambda e: e.precision, text=True),
        Column("backend", lambda e: e.backend, text=True),
        Column("power mode", lambda e: e.power_mode or "–", text=True),
        *(Column(unit, _figure(lambda e, unit=unit: _accuracy(e, unit), 2), _ACCURACY) for unit in units),
        Column("p50 ms", _figure(lambda e: e.p50, 2), f"{_WHOLE}, median"),
        Column("p99 ms", _figure(lambda e: e.p99, 2), f"{_WHOLE}, 99th percentile as trtexec takes it"),
        Column("jitter ms", _figure(lambda e: e.jitter, 2), "mean absolute difference between one run and the next"),
        Column("graph ms", _figure(lambda e: e.graph, 2), "host time of the network alone, median"),
        Column("GPU ms", _figure(lambda e: e.gpu, 2), "trtexec's GPU Compute Time, events around the enqueue, median"),
        Column("frames/s", _figure(lambda e: e.throughput, 1), "of wall time; queries overlap where the backend can"),
        Column(
            "mJ/frame", _figure(lambda e: e.energy, 1), "the board's total power over the end-to-end run, per frame"
        ),
        Column("W", _figure(lambda e: e.power, 2), "the board's total power, mean"),
        Column("°C", _figure(lambda e: e.temperature, 1), "the hottest sensor at its hottest"),
        Column("MiB", _figure(lambda e: e.memory, 0), "peak memory of a fresh process that loads and runs the bundle"),
    ]


_WHOLE = "host time end to end, from the uint8 frame to the maps at the frame's own size"
_ACCURACY = "of this precision, measured at export and not on this device"


def _accuracy(entry: Entry, unit: str) -> float | None:
    return next((a.shown for a in entry.accuracy if a.unit == unit), None)


def notes(entries: Sequence[Entry]) -> list[tuple[int, str, list[Entry]]]:
    """(number, sentence, the entries it is about), each sentence once."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for mark in entry.marks:
            found.setdefault(mark, []).append(entry)
    return [(number, mark, whose) for number, (mark, whose) in enumerate(found.items(), 1)]


def machines(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """(machine, software) of all entries, each once."""
    return list(dict.fromkeys((e.machine, e.software) for e in entries))


def definitions(shown: Sequence[Column]) -> list[tuple[str, str]]:
    """(column, what it is) of those that say."""
    return [(c.name, c.about) for c in shown if c.about]
