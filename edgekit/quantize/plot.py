"""A plot of the layers' sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure  # not pyplot, which keeps figures and looks for a screen

from edgekit.frames.files import atomic_write
from edgekit.quantize.sensitivity import LayerSensitivity, decibels, loudest, share_text
from edgekit.report.plots import INKS, STYLE

_LOUD, _QUIET = "#c2410c", "#7c9cbf"  # distinct for the colour-blind, and in grey
_ROW, _PANEL = 0.3, 5.2  # inches
_MARGIN = 3.0  # dB between what is shown and the sides


@matplotlib.rc_context(STYLE)
def sensitivity_plot(
    path: Path,
    title: str,
    layers: Sequence[LayerSensitivity],
    together: Mapping[str, float],
) -> None:
    """A ``.png``: a panel per output of ``together``, a row per layer in the graph's order; farther right costs more.

    Lines are the signal to quantization noise in dB, on an axis that falls to the right. The fewest layers that make
    half of an output's noise are red. ``together``: output → noise with every layer in integers, the dashed line.
    """
    size = (1.8 + _PANEL * len(together), 1.7 + _ROW * len(layers))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(together), sharey=True, squeeze=False)[0]
    for axes, output in zip(panels, together, strict=True):
        _panel(axes, layers, output, together[output])
    panels[0].set_yticks(range(len(layers)), [one.layer for one in layers], color=INKS["ink"])
    panels[0].set_ylim(len(layers) - 0.4, -0.6)  # one half row around them, the first on top
    figure.suptitle(title, x=0.01, ha="left", color=INKS["ink"], fontsize=13, fontweight="bold")
    about = "%: share of all layers' noise. Red: the fewest layers that make half of it."
    figure.supxlabel(about, x=0.01, ha="left", fontsize=9)
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=150)


def _panel(axes: Any, layers: Sequence[LayerSensitivity], output: str, together: float) -> None:
    axes.set_title(output)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="x")
    reached = {row: decibels(one.noise[output]) for row, one in enumerate(layers) if one.noise[output] > 0}
    shown = [*reached.values(), *([decibels(together)] if together > 0 else [])] or [0.0]
    left, right = max(shown) + _MARGIN, min(shown) - _MARGIN
    axes.set_xlim(left, right - 0.22 * (left - right))  # room for the longest line's numbers
    total = sum(one.noise[output] for one in layers)
    loud = loudest(layers, output)
    for row, one in enumerate(layers):
        if row not in reached:
            silent = "does not reach it" if any(one.noise.values()) else "in float"
            axes.annotate(silent, (left, row), (4, 0), textcoords="offset points", va="center", color=INKS["faint"])
            continue
        colour, weight = (_LOUD, "bold") if one.layer in loud else (_QUIET, "normal")
        axes.plot([left, reached[row]], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
        axes.plot(reached[row], row, "o", color=colour, markersize=7)
        axes.annotate(
            f"{reached[row]:.1f} dB · {share_text(one.noise[output] / total)}",
            (reached[row], row),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            fontweight=weight,
            # Over the dashed line, where they meet
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
    if together > 0:
        axes.axvline(decibels(together), color=INKS["ink"], linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        axes.annotate(
            f"all layers: {decibels(together):.1f} dB",
            (decibels(together), 1.0),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set_xlabel("signal to noise, dB (costs more →)", fontsize=9)
