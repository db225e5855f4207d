"""The page of `edgekit bench report`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone

from markupsafe import Markup

from edgekit.bench.report.entries import Entry, comparable, goodness, highlights
from edgekit.bench.report.read import Measurements
from edgekit.bench.report.sections import columns, definitions, in_common, machines, notes
from edgekit.report.page import page
from edgekit.report.plots import Bar, Point, bars, scatter, svg

_PARTS = ("precision", "size", "backend")
_Plot = tuple[str, str, Markup]  # its name, a sentence about it, the SVG


def bench_page(found: Measurements) -> str:
    """Plots of accuracy over latency, latency and energy where they were measured, and the whole table."""
    entries, shown = found.entries, columns(found.entries)
    return page(
        "bench.html",
        title=found.title,
        machines=machines(entries),
        highlights=highlights(entries),
        plots=[*_accuracy(entries), *_latency(entries), *_energy(entries)],
        entries=entries,
        columns=shown,
        in_common=in_common(entries),
        definitions=definitions(shown),
        notes=notes(entries),
        failed=found.failed,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _accuracy(entries: Sequence[Entry]) -> Iterable[_Plot]:
    rated = comparable(entries)
    if len(rated) < 2:
        return
    best, accuracy = frontier(rated), rated[0].main_accuracy
    points = [
        Point(e.p50, e.main_accuracy.shown, name if e in best else "", e.student, e.precision)
        for e, name in zip(rated, names(rated, (*_PARTS, "power_mode")), strict=True)
    ]
    line = [(e.p50, e.main_accuracy.shown) for e in best]
    direction = "higher" if accuracy.higher_is_better else "lower"
    about = f"The dashed line joins those that none beats in both; to the left is faster, {direction} is more accurate."
    figure = scatter(points, line, ("p50 end to end, ms", accuracy.unit), _students(entries))
    yield "Accuracy and latency", about, svg(figure, f"{accuracy.unit} over latency")


def _latency(entries: Sequence[Entry]) -> Iterable[_Plot]:
    if entries:
        figure = bars(_bars(entries, lambda e: e.p50, lambda e: e.p99), "ms", _students(entries))
        yield "Latency", "p50 end to end as a bar, p99 at the end of the line.", svg(figure, "latency in ms")


def _energy(entries: Sequence[Entry]) -> Iterable[_Plot]:
    metered = [e for e in entries if e.energy is not None]
    if metered:
        figure = bars(_bars(metered, lambda e: e.energy), "mJ per frame", _students(entries), "{:.1f}")
        about = "The board's total power, integrated over the run, per frame."
        yield "Energy per frame", about, svg(figure, "energy in mJ per frame")


def _students(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(e.student for e in entries))


def _bars(
    shown: Sequence[Entry], value: Callable[[Entry], float], upper: Callable[[Entry], float | None] = lambda e: None
) -> dict[str, list[Bar]]:
    """Power mode → bars, least first."""
    groups: dict[str, list[Bar]] = {}
    named = zip(names(shown, _PARTS, within="power_mode"), shown, strict=True)
    for name, entry in sorted(named, key=lambda pair: value(pair[1])):
        bar = Bar(name, value(entry), entry.student, upper(entry))
        groups.setdefault(f"Power mode {entry.power_mode or 'unknown'}", []).append(bar)
    return groups


def frontier(entries: Iterable[Entry]) -> list[Entry]:
    """The Pareto front of p50 latency and main accuracy, fastest first; only of the first rated entry's metric."""
    known = comparable(entries)
    best: list[Entry] = []
    for entry in sorted(known, key=lambda e: (e.p50, -goodness(e))):
        if not best or goodness(entry) > goodness(best[-1]):
            best.append(entry)
    return best


def names(entries: Sequence[Entry], parts: Sequence[str], within: str | None = None) -> list[str]:
    """A short name per entry: its student, and of ``parts`` (fields of Entry) those in which the entries differ.

    Where two would be called alike, all have their whole labels; ``within`` is a field that tells them apart anyway.
    """
    varying = [part for part in parts if len({getattr(e, part) for e in entries}) > 1]
    found = [" ".join([e.student, *(str(getattr(e, part) or "–") for part in varying)]) for e in entries]
    distinct = {(getattr(e, within) if within else None, name) for e, name in zip(entries, found, strict=True)}
    return found if len(distinct) == len(entries) else [e.label for e in entries]
