"""Running a graph on the CPU; any of its tensors can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

import numpy as np
import onnx

from edgekit.graphs.read import activations


class Runner:
    """An onnxruntime session of a model in memory.

    ``tensors``: which to compute, by default the model's outputs; any tensor of the graph may be named. ``exact``
    leaves the graph as it is written, without onnxruntime's own fusions.
    """

    def __init__(
        self, model: onnx.ModelProto, tensors: Sequence[str] | None = None, *, threads: int = 1, exact: bool = False
    ):
        import onnxruntime

        if tensors is not None:
            model = _with_outputs(model, tensors)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it would print is in the exception
        if exact:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.input = self._session.get_inputs()[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, feed: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's inputs by name, or its only one → output name → array."""
        given = {self.input: feed} if isinstance(feed, np.ndarray) else dict(feed)
        return dict(zip(self.outputs, self._session.run(None, given), strict=True))


def every_tensor(
    model: onnx.ModelProto, feed: np.ndarray | Mapping[str, np.ndarray], names: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """All activations (or the ``names`` among them) for a feed, in topological order, the inputs first."""
    wanted = set(activations(model.graph) if names is None else names)
    ordered = [name for name in activations(model.graph) if name in wanted]
    fed = {model.graph.input[0].name: feed} if isinstance(feed, np.ndarray) else dict(feed)
    found = Runner(model, [name for name in ordered if name not in fed], exact=True)(fed)
    return {name: fed[name] if name in fed else found[name] for name in ordered}


def _with_outputs(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    out = deepcopy(model)
    known = {value.name: value for value in out.graph.output}
    del out.graph.output[:]
    # An output without a type: onnxruntime infers it.
    out.graph.output.extend(known.get(name) or onnx.ValueInfoProto(name=name) for name in tensors)
    return out
