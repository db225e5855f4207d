"""The noise that INT8 adds in each layer of a subject's student, measured on the recipe's own frames."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, Literal

from edgekit.errors import EdgekitError
from edgekit.export.body import body
from edgekit.export.contract import contract, network_size
from edgekit.export.deploy import opened
from edgekit.pipeline.int8 import CalibrationFeed, calibrated, write_style
from edgekit.pipeline.subject import Subject
from edgekit.quantize.frames import some, spread
from edgekit.quantize.plot import sensitivity_plot
from edgekit.quantize.sensitivity import Reference, decibels, loudest, sensitivity
from edgekit.quantize.topology import Topology, named
from edgekit.training.progress import Progress


def layer_noise(
    subject: Subject,
    *,
    style: Literal["onnxruntime", "tensorrt"] = "onnxruntime",
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    measured: int = 16,
    plot: Path,
    threads: int | None = None,
) -> dict[str, Any]:
    """The document that ``--json`` prints: per layer and output the signal to quantization noise, dB.

    style     the kernels of onnxruntime, as on a CPU, or of TensorRT
    size      (H, W) of the network's input; None: the recipe's, else that of the frames
    frames    how many frames to calibrate with; None: as the recipe says
    measured  how many of these to measure on
    plot      the ``.png`` to draw

    The noise is None on an output that the layer does not reach, and on all of them where the style leaves the layer in
    float. ``share`` is the layer's part of all layers' noise, ``loudest`` the fewest layers that make half of it,
    ``together`` the signal to noise with every layer in integers.
    EdgekitError for a size that cannot be and for a plot of another kind, before any work.
    """
    _check_plot(plot)
    student, config = subject.student, subject.config.quantize
    frame = subject.frame_size()
    size = size or subject.config.size or network_size(frame, student.input_scale)
    with Progress("exporting graphs", subject.log, 1) as progress:
        model = body(student, size)
        progress.step(1)
    free = opened(model, student.network.stride, frozenset({"size"}))
    shots = spread(subject.calibration, frames or config.frames)
    feed = CalibrationFeed(shots, contract(student, size, subject.config.fit, frame))
    free, calibration = calibrated(free, feed, config, student.tasks, [style], subject.log, threads)
    samples = some(feed, calibration.count, measured)
    write = partial(write_style, style=style, reduce_range=config.reduce_range)
    with Progress("measuring layers", subject.log, len(Topology(free).layers())) as progress:
        found = sensitivity(free, calibration.ranges, samples, write, progress=progress.step)
    together = Reference(free, samples).noise(write(named(free), calibration.ranges, frozenset()))
    outputs = [output.name for output in model.graph.output]
    title = f"{subject.name}, {student.name}: one layer alone in INT8 ({style})"
    sensitivity_plot(plot, title, found, together)
    total = {o: sum(one.noise[o] for one in found) for o in outputs}
    return {
        "name": subject.name,
        "student": student.name,
        "style": style,
        "observer": calibration.observer,
        "equalised": calibration.equalised,
        "size": list(size),
        "calibration_frames": calibration.count,
        "measured_frames": len(samples),
        "outputs": outputs,
        "together": {o: _finite(together[o]) for o in outputs},
        "loudest": {o: loudest(found, o) for o in outputs},
        "layers": [
            {
                "layer": one.layer,
                "operator": one.operator,
                "weights": one.weights,
                "decibels": {o: _finite(one.noise[o]) for o in outputs},
                "share": {o: one.noise[o] / total[o] if total[o] else 0.0 for o in outputs},
            }
            for one in found
        ],
        "plot": str(plot),
    }


def _finite(noise: float) -> float | None:
    """Decibels as JSON can have them."""
    return decibels(noise) if noise else None


def _check_plot(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise EdgekitError(f"the plot '{path.name}' is no .png", where="--plot", fix="give a name that ends in .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK) and not path.is_dir()
    except OSError:
        writable = False
    if not writable:
        raise EdgekitError("the plot cannot be written", where=str(path), fix="choose another place with --plot")
