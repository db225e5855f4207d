"""How much each layer's quantization alone disturbs the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from edgekit.graphs.execute import Runner
from edgekit.quantize.parameters import Range
from edgekit.quantize.topology import Topology, named

Write = Callable[[ModelProto, Mapping[str, Range], frozenset[str]], ModelProto]
"""(float graph, ranges, layers to keep in float) → Q/DQ graph."""


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer.

    weights  number of them
    noise    output → mean square of the error with this layer alone in integers, over the output's variance. Zero on
             every output: the layer has no integers in this style
    """

    layer: str
    operator: str
    weights: int
    noise: dict[str, float]


def decibels(noise: float) -> float:
    """Signal to quantization noise, dB; infinite where there is none."""
    return float("inf") if noise == 0 else -10.0 * float(np.log10(noise))


def sensitivity(
    model: ModelProto,
    ranges: Mapping[str, Range],
    frames: Sequence[np.ndarray],
    write: Write,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> list[LayerSensitivity]:
    """All layers in the graph's order; ``progress(layers done)``."""
    model = named(model)
    topology = Topology(model)
    layers = topology.layers()
    outputs = [o.name for o in model.graph.output]
    exact = Runner(model)
    answers = [exact(frame) for frame in frames]
    variance = {o: float(np.mean([_variance(answer[o]) for answer in answers])) for o in outputs}
    names = frozenset(node.name for node in layers)
    found = []
    for done, node in enumerate(layers, 1):
        run = Runner(write(model, ranges, names - {node.name}))
        errors = dict.fromkeys(outputs, 0.0)
        for frame, answer in zip(frames, answers, strict=True):
            said = run(frame)
            for o in outputs:
                errors[o] += float(np.mean(np.square(said[o].astype(np.float64) - answer[o])))
        noise = {o: errors[o] / len(answers) / max(variance[o], 1e-30) for o in outputs}
        found.append(LayerSensitivity(node.name, node.op_type, int(topology.value(node.input[1]).size), noise))
        progress(done)
    return found


def _variance(values: np.ndarray) -> float:
    """Around the mean of each channel."""
    return float(np.var(values.astype(np.float64), axis=tuple(a for a in range(values.ndim) if a != 1)).mean())
