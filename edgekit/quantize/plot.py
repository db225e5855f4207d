"""The layers' sensitivity as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.frames.files import atomic_write
from edgekit.quantize.sensitivity import LayerSensitivity, decibels, loudest, percent

# Told apart by those who see few colours, and in grey.
_LOUD, _QUIET, _TEXT, _GRID, _ALL = "#c2410c", "#7c9cbf", "#1f2933", "#e4e7eb", "#1f2933"
_ROW, _PANEL = 0.3, 5.2  # inches
_MARGIN = 3.0  # dB between what is shown and the sides


def sensitivity_plot(
    path: Path,
    title: str,
    layers: Sequence[LayerSensitivity],
    together: Mapping[str, float],
) -> None:
    """A ``.png``: a panel per output of ``together``, a row per layer in the graph's order; farther right costs more.

    Lines are the signal to quantization noise in dB, on an axis that falls to the right. The fewest layers that make
    half of an output's noise are coloured. ``together``: output → noise with every layer in integers, the dashed line.
    """
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and looks for a screen

    size = (1.8 + _PANEL * len(together), 1.7 + _ROW * len(layers))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(together), sharey=True, squeeze=False)[0]
    for axes, output in zip(panels, together, strict=True):
        _panel(axes, layers, output, together[output])
    panels[0].set_yticks(range(len(layers)), [one.layer for one in layers], color=_TEXT)
    panels[0].set_ylim(len(layers) - 0.4, -0.6)  # one half row around them, the first on top
    figure.suptitle(title, x=0.01, ha="left", color=_TEXT, fontsize=13, fontweight="bold")
    about = "%: share of all layers' noise. Red: the fewest layers that make half of it."
    figure.supxlabel(about, x=0.01, ha="left", color=_TEXT, fontsize=9)
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=150)


def _panel(axes: Any, layers: Sequence[LayerSensitivity], output: str, together: float) -> None:
    axes.set_facecolor("white")
    axes.set_title(output, loc="left", color=_TEXT, fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, colors=_TEXT)
    axes.grid(axis="x", color=_GRID)
    axes.set_axisbelow(True)
    heard = {row: decibels(one.noise[output]) for row, one in enumerate(layers) if one.noise[output] > 0}
    shown = [*heard.values(), *([decibels(together)] if together > 0 else [])] or [0.0]
    left, right = max(shown) + _MARGIN, min(shown) - _MARGIN
    axes.set_xlim(left, right - 0.22 * (left - right))  # room for the longest line's numbers
    total = sum(one.noise[output] for one in layers)
    loud = loudest(layers, output)
    for row, one in enumerate(layers):
        if row not in heard:
            silent = "does not reach it" if any(one.noise.values()) else "in float"
            axes.annotate(silent, (left, row), (4, 0), textcoords="offset points", va="center", color="#7b8794")
            continue
        colour, weight = (_LOUD, "bold") if one.layer in loud else (_QUIET, "normal")
        axes.plot([left, heard[row]], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
        axes.plot(heard[row], row, "o", color=colour, markersize=7)
        axes.annotate(
            f"{heard[row]:.1f} dB · {percent(one.noise[output] / total)}",
            (heard[row], row),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            fontweight=weight,
            color=_TEXT,
            # Over the dashed line, where they meet
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
    if together > 0:
        axes.axvline(decibels(together), color=_ALL, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        axes.annotate(
            f"all layers: {decibels(together):.1f} dB",
            (decibels(together), 1.0),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=_TEXT,
        )
    axes.set_xlabel("signal to noise, dB (costs more →)", color=_TEXT, fontsize=9)
