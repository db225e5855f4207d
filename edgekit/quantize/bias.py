"""Bias correction: the mean shift of a layer's output by quantization is subtracted from its bias.

Nagel et al., arXiv 1906.04721, with data: b += E[Y − Q(Y)] per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

from edgekit.graphs.execute import Runner
from edgekit.quantize.topology import Topology, named


def correct_bias(
    model: ModelProto,
    write: Callable[[ModelProto], ModelProto],
    frames: Sequence[np.ndarray],
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> ModelProto:
    """The float graph with biases with which the graph that ``write`` quantizes has the right mean outputs.

    Layer by layer from the input, since a layer shifts all that follow it; ``progress(layers done)``. Only layers with
    a bias of their own that ``write`` gives integer weights. A mean over pixels needs few frames, 16 or so. In float
    the corrected graph is another function, made to be quantized.
    """
    model = named(model)
    topology = Topology(model)
    layers = _correctable(topology, write(model))
    if not layers:
        return model
    exact = _means(model, [n.output[0] for n in layers], frames)
    tensors = {t.name: t for t in model.graph.initializer}
    for done, layer in enumerate(layers, 1):
        tensor = layer.output[0]
        shift = exact[tensor] - _means(write(model), [tensor], frames)[tensor]
        bias = tensors[layer.input[2]]
        corrected = numpy_helper.to_array(bias) + shift.astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(corrected, bias.name))
        progress(done)
    return model


def _correctable(topology: Topology, quantized: ModelProto) -> list[NodeProto]:
    read = {node.name: list(node.input) for node in quantized.graph.node}
    return [
        node
        for node in topology.layers()
        if len(node.input) > 2
        and node.input[2] in topology.initializers
        and len(topology.consumers[node.input[2]]) == 1
        and read[node.name][1] != node.input[1]  # the weights come from integers
    ]


def _means(model: ModelProto, names: list[str], frames: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Tensor → mean per channel, float64."""
    run = Runner(model, names)
    sums: dict[str, np.ndarray] = {}
    for frame in frames:
        for name, value in run(frame).items():
            per_channel = value.astype(np.float64).mean(axis=tuple(a for a in range(value.ndim) if a != 1))
            sums[name] = sums.get(name, 0.0) + len(value) * per_channel
    return {name: total / sum(len(f) for f in frames) for name, total in sums.items()}
