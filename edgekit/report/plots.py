"""Plots as SVG, to stand in a page whose style sheet colours them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure  # not pyplot, which keeps figures and looks for a screen
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

INKS = {"ink": "#1b2430", "soft": "#5b6776", "faint": "#8a95a3", "grid": "#e8ecf1", "card": "#fffffe"}
"""Colours by the names that the style sheet has for them; a dark page gives the same names other colours."""
SERIES = ("#2f6fde", "#e0782f", "#1f9d72", "#b1489f", "#c9a227", "#5a57c7", "#c23b4a", "#3b93ab")
COLOURS = {**INKS, **{f"c{i}": colour for i, colour in enumerate(SERIES)}}
_MARKERS = "os^Dv"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "edgekit",  # the same plot is the same file
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 9.5,
    "axes.edgecolor": INKS["faint"],
    "axes.labelcolor": INKS["soft"],
    "axes.titlecolor": INKS["ink"],
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": INKS["grid"],
    "xtick.color": INKS["faint"],
    "ytick.color": INKS["faint"],
    "legend.frameon": False,
    "legend.labelcolor": INKS["soft"],
}
_WIDTH = 10.0  # inches
_LABEL = 72  # characters that a step's box is wide


@dataclass(frozen=True)
class Point:
    """``series`` gives the colour, ``kind`` the marker; ``label`` "" shows none."""

    x: float
    y: float
    label: str
    series: str
    kind: str


@dataclass(frozen=True)
class Bar:
    """``value`` as a bar, ``upper`` as a whisker beyond it or None."""

    label: str
    value: float
    series: str
    upper: float | None = None


@dataclass(frozen=True)
class SequenceStep:
    """One of a sequence: ``label``, ``note`` at the right; ``sources``: places of the steps that it reads from."""

    label: str
    note: str
    series: str
    sources: tuple[int, ...]


@matplotlib.rc_context(STYLE)
def scatter(
    points: Sequence[Point], line: Sequence[tuple[float, float]], names: tuple[str, str], series: Sequence[str]
) -> Figure:
    """Points, and a dashed line through the (x, y) of ``line``. ``names`` of the axes; x begins at 0.

    ``series``: the names of all there are, in an order that gives them the same colours in every plot.
    """
    figure = Figure(figsize=(_WIDTH, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([x for x, _ in line], [y for _, y in line], ls=(0, (5, 4)), lw=1.2, color=INKS["faint"], zorder=1)
    kinds = list(dict.fromkeys(p.kind for p in points))
    middle = max(p.x for p in points) / 2
    for p in points:
        axes.plot(p.x, p.y, **_marker(_colour(p.series, series), kinds.index(p.kind)))
        # Above and outwards: there is no point that is better than one with a label.
        side, ha = (-7, "right") if p.x > middle else (0, "left")
        axes.annotate(
            p.label,
            (p.x, p.y),
            (side, 6),
            textcoords="offset points",
            ha=ha,
            color=INKS["ink"],
            bbox={"fc": INKS["card"], "ec": "none", "pad": 1.0},  # over the dashed line, below the markers
            zorder=1.5,
        )
    axes.set_xlim(0, 2.2 * middle)
    axes.margins(y=0.12)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.grid()
    markers = {kind: _marker(INKS["soft"], i) for i, kind in enumerate(kinds)}
    _legend(figure, [p.series for p in points], series, markers if len(kinds) > 1 else {})
    return figure


@matplotlib.rc_context(STYLE)
def bars(groups: Mapping[str, Sequence[Bar]], x_name: str, series: Sequence[str], number: str = "{:.2f}") -> Figure:
    """Horizontal bars with their values, from the top down; a panel per group, named where there are several."""
    counts = [len(rows) for rows in groups.values()]
    figure = Figure(figsize=(_WIDTH, 1.0 + 0.32 * sum(counts) + 0.4 * len(counts)), layout="constrained")
    panels = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for axes, (name, rows) in zip(panels, groups.items(), strict=True):
        if len(groups) > 1:
            axes.set_title(name)
        places = range(len(rows))
        axes.barh(places, [r.value for r in rows], 0.6, color=[_colour(r.series, series) for r in rows])
        for place, row in zip(places, rows, strict=True):
            end = max(row.value, row.upper or 0.0)
            if end > row.value:
                axes.errorbar(row.value, place, xerr=[[0], [end - row.value]], ecolor=INKS["faint"], capsize=3)
            said = number.format(row.value)
            axes.annotate(said, (end, place), (7, 0), textcoords="offset points", va="center", color=INKS["ink"])
        axes.set_yticks(places, [r.label for r in rows], color=INKS["ink"])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.margins(x=0.1)
        axes.grid(axis="x")
        axes.tick_params(length=0)
    panels[-1].set_xlabel(x_name)
    _legend(figure, [row.series for rows in groups.values() for row in rows], series, {})
    return figure


@matplotlib.rc_context(STYLE)
def curves(found: Mapping[str, Sequence[tuple[float, float]]], names: tuple[str, str]) -> Figure:
    """A small panel per curve, two beside each other, each with a scale of its own. ``names`` of the axes."""
    rows = (len(found) + 1) // 2
    figure = Figure(figsize=(_WIDTH, 0.4 + 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).flat
    for axes, (name, points) in zip(panels, found.items(), strict=False):
        axes.plot(*zip(*points, strict=True), color=SERIES[0], lw=1.6, marker="o" if len(points) == 1 else "")
        axes.set_title(name)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        axes.grid()
    for axes in panels:
        axes.set_axis_off()
    return figure


@matplotlib.rc_context(STYLE)
def diagonal(found: Mapping[str, Sequence[tuple[float, float]]], names: tuple[str, str]) -> Figure:
    """Curves of points in 0-1 beside the diagonal, on which x and y are equal. ``names`` of the axes."""
    figure = Figure(figsize=(_WIDTH / 2, _WIDTH / 2), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), ls=(0, (5, 4)), lw=1.2, color=INKS["faint"])
    for name, points in found.items():
        axes.plot(*zip(*points, strict=True), color=_colour(name, list(found)), lw=1.6, marker="o", ms=4)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=names[0], ylabel=names[1], aspect="equal")
    axes.grid()
    _legend(figure, list(found), list(found), {})
    return figure


@matplotlib.rc_context(STYLE)
def steps(found: Sequence[SequenceStep], title: str, series: Sequence[str]) -> Figure:
    """A box per step from the top down, numbered from 1; arcs on the left where one does not read from the last."""
    figure = Figure(figsize=(_WIDTH, 1.0 + 0.34 * len(found)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_axis_off()
    for place, step in enumerate(found):
        colour = _colour(step.series, series)
        axes.add_patch(Rectangle((0, place - 0.38), 10, 0.76, fc=INKS["card"], ec=colour, lw=1.6))
        label = step.label if len(step.label) <= _LABEL else f"{step.label[: _LABEL - 1]}…"
        axes.annotate(f"{place + 1}  {label}", (0.15, place), va="center", color=INKS["ink"])
        axes.annotate(step.note, (10.2, place), va="center", color=INKS["soft"])
        for source in step.sources:
            near = source == place - 1
            start, end = ((5, source + 0.38), (5, place - 0.38)) if near else ((0, source), (0, place))
            bend = "arc3" if near else f"arc3,rad={max(0.15, 0.6 / (place - source) ** 0.5):.2f}"
            how = {"arrowstyle": "-|>", "color": INKS["faint"], "connectionstyle": bend, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", end, start, arrowprops=how)
    axes.set_xlim(-2.5, 13.5)
    axes.set_ylim(len(found) - 0.5, -0.5)
    _legend(figure, [step.series for step in found], series, {})
    return figure


def svg(figure: Figure, about: str) -> Markup:
    """The figure's SVG element, to stand in a page as it is. ``about``: what it shows, in words."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The browser has letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg ") + len("<svg ") :]
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup('<svg class="plot" role="img" aria-label="{}" ').format(about) + Markup(text)


def _colour(name: str, series: Sequence[str]) -> str:
    return SERIES[series.index(name) % len(SERIES)]


def _marker(colour: str, shape: int) -> dict[str, object]:
    return {"marker": _MARKERS[shape % len(_MARKERS)], "ls": "", "color": colour, "ms": 9, "mec": INKS["card"]}


def _legend(figure: Figure, shown: Sequence[str], series: Sequence[str], markers: Mapping[str, dict]) -> None:
    """The series that are shown, where there are several, and the markers."""
    keys = {name: _marker(_colour(name, series), 0) for name in series if name in shown} if len(series) > 1 else {}
    handles = [Line2D([], [], label=name, **how) for name, how in {**keys, **markers}.items()]
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=6)
