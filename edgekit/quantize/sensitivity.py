"""The noise that quantizing each layer alone adds to the outputs."""

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
    """Signal to quantization noise, dB; infinite without noise."""
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
    reference = Reference(model, frames)
    names = frozenset(node.name for node in layers)
    found = []
    for done, node in enumerate(layers, 1):
        noise = reference.noise(write(model, ranges, names - {node.name}))
        found.append(LayerSensitivity(node.name, node.op_type, int(topology.value(node.input[1]).size), noise))
        progress(done)
    return found


def share_text(share: float) -> str:
    """``"24%"``; a share that rounds to zero is not printed as zero."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


class Reference:
    """The outputs of a float graph for some frames, to compare other graphs with."""

    def __init__(self, model: ModelProto, frames: Sequence[np.ndarray]):
        exact = Runner(model)
        self._frames, self._outputs = frames, [o.name for o in model.graph.output]
        self._answers = [exact(frame) for frame in frames]
        self._variance = {o: float(np.mean([_variance(answer[o]) for answer in self._answers])) for o in self._outputs}

    def noise(self, model: ModelProto) -> dict[str, float]:
        """Output → mean square of the error of ``model``, over the output's variance."""
        run = Runner(model)
        errors = dict.fromkeys(self._outputs, 0.0)
        for frame, answer in zip(self._frames, self._answers, strict=True):
            found = run(frame)
            for o in self._outputs:
                errors[o] += float(np.mean(np.square(found[o].astype(np.float64) - answer[o])))
        return {o: errors[o] / len(self._answers) / max(self._variance[o], 1e-30) for o in self._outputs}


def loudest(layers: Sequence[LayerSensitivity], output: str) -> list[str]:
    """The fewest layers that together make half of an output's noise, the loudest first.

    Noises are added as if the layers' errors were independent.
    """
    wanted = 0.5 * sum(one.noise[output] for one in layers)
    found, sum_so_far = [], 0.0
    for one in sorted(layers, key=lambda one: -one.noise[output]):
        if sum_so_far >= wanted:
            break
        found.append(one.layer)
        sum_so_far += one.noise[output]
    return found


def _variance(values: np.ndarray) -> float:
    """Around the mean of each channel."""
    return float(np.var(values.astype(np.float64), axis=tuple(a for a in range(values.ndim) if a != 1)).mean())
