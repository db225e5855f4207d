"""The layers' sensitivity as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.frames.files import atomic_write
from edgekit.quantize.sensitivity import LayerSensitivity, decibels


def sensitivity_plot(path: Path, title: str, layers: Sequence[LayerSensitivity], outputs: Sequence[str]) -> None:
    """A ``.png``: one row per layer in the graph's order, one bar per output, dB of signal to noise; short is bad.

    A layer without a bar is left in float.
    """
    from matplotlib.figure import Figure  # not pyplot: it would look for a screen

    figure = Figure(figsize=(8, 1.2 + 0.2 * len(layers) * (1 + len(outputs)) / 2), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(outputs)
    for index, output in enumerate(outputs):
        shown = [(row, decibels(one.noise[output])) for row, one in enumerate(layers) if one.noise[output]]
        places = [row + (index - (len(outputs) - 1) / 2) * height for row, _ in shown]
        axes.barh(places, [value for _, value in shown], height=height, label=output)
    axes.set_yticks(range(len(layers)), [one.layer for one in layers])
    axes.invert_yaxis()
    axes.set_xlabel("signal to quantization noise of the output, dB")
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    if len(outputs) > 1:
        axes.legend()
    with atomic_write(path) as part:
        figure.savefig(part, dpi=120)
