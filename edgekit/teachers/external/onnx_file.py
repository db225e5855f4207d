"""A teacher in an ONNX file, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.bundle.graph import read_graph
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import sha256
from edgekit.frames.outside import read_bytes
from edgekit.teachers.external.config import OnnxConfig
from edgekit.teachers.external.inputs import assemble, channel_count
from edgekit.teachers.external.model import ExternalModel, Setting, batch_outputs, output_name
from edgekit.teachers.external.permission import code_is_allowed

_FIX = (
    "export it as one file without that, or for smaller batches (EDGEKIT_MOST_BYTES raises what it may take); "
    "give --allow-code if you trust it"
)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxFile(ExternalModel):
    """Any graph of fixed or free sizes; its inputs are matched by name, or else by position.

    Without --allow-code it is one that a bundle may hold too: what it computes is bounded before it runs.
    """

    Config = OnnxConfig

    def __init__(self, config: OnnxConfig, setting: Setting):
        self._config = config
        self._setting = setting
        self._path = setting.file(config.file)
        content = read_bytes(self._path, what="the ONNX teacher", fix=_FIX)
        self._graph = None if code_is_allowed() else self._checked(read_graph, content)
        self._sizes: set[tuple] = set()
        self._session = _session(content if self._graph else str(self._path), str(self._path))
        self._feeds = self._matched()
        self._outputs = [output.name for output in self._session.get_outputs()]
        for task, output in config.outputs.items():
            output_name(dict.fromkeys(self._outputs), output.output, task, f"{setting.where}.outputs.{task}")
        self.needs = list(dict.fromkeys(name for given in config.inputs for name in given.modalities))

    def key(self) -> Any:
        return sha256(self._path)

    def raw_batch(
        self, frames: Sequence[FrameInfo], maps: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]
    ) -> list[dict[str, Tensor] | None]:
        fixed = any(isinstance(x.shape[0], int) for x in self._session.get_inputs())
        runs = [[own] for own in maps] if fixed else [maps]
        return [found for run in runs for found in self._run(run, size)]

    def _run(self, frames: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]) -> list[dict[str, Tensor]]:
        feeds = {}
        for name, (given, dtype) in self._feeds.items():
            x = np.concatenate([assemble(given, maps, self._setting.tasks, size).numpy() for maps in frames])
            feeds[name] = np.clip(np.rint(x), 0, 255).astype(dtype) if dtype == np.uint8 else x.astype(dtype)
        shapes = {name: x.shape for name, x in feeds.items()}
        if self._graph and (sizes := tuple(shapes.values())) not in self._sizes:
            self._checked(self._graph.check_sizes, shapes)
            self._sizes.add(sizes)
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:  # onnxruntime raises types of its own, which derive from Exception alone
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise EdgekitError(
                f"the ONNX teacher cannot run on {listed}: {first_line(error)}",
                where=str(self._path),
                fix="see size, multiple and layout of its inputs",
            ) from error
        named = dict(zip(self._outputs, values, strict=True))
        return batch_outputs(named, len(frames), self._config, self._setting.where)

    def _checked(self, check: Callable[[Any], Any], what: Any) -> Any:
        try:
            return check(what)
        except ValueError as error:
            raise EdgekitError(f"the graph {str(error)[:300]}", where=str(self._path), fix=_FIX) from error

    def _matched(self) -> dict[str, tuple[Any, Any]]:
        """Graph's input -> (its section of the recipe, numpy type)."""
        own, where = self._session.get_inputs(), f"{self._setting.where}.inputs"
        if len(own) != len(self._config.inputs):
            raise EdgekitError(
                f"the graph has {len(own)} inputs ({', '.join(x.name for x in own)}), "
                f"and the recipe gives {len(self._config.inputs)}",
                where=where,
                fix="give one entry per input of the graph",
            )
        names = [x.name for x in own]
        feeds = {}
        for i, given in enumerate(self._config.inputs):
            name = given.name or names[i]
            if name not in names or name in feeds:
                raise EdgekitError(
                    f"the graph has no input '{name}'" if name not in names else f"the input '{name}' is given twice",
                    where=f"{where}.{i}.name",
                    fix=f"it has {', '.join(names)}",
                )
            graph = own[names.index(name)]
            if graph.type not in _TYPES:
                raise EdgekitError(
                    f"the input '{name}' is {graph.type}, not one of {', '.join(_TYPES)}",
                    where=where,
                    fix="export the graph with an input of one of these types",
                )
            channels = channel_count(given, self._setting.tasks, f"{where}.{i}")
            axis = 1 if given.layout == "channels_first" else 3
            if len(graph.shape) != 4 or (isinstance(graph.shape[axis], int) and graph.shape[axis] != channels):
                raise EdgekitError(
                    f"the graph's input '{name}' is {graph.shape}, and {' + '.join(given.modalities)} "
                    f"{'has' if len(given.modalities) == 1 else 'have'} {channels} channels",
                    where=f"{where}.{i}",
                    fix="list the modalities it was trained on, and its layout",
                )
            feeds[name] = (given, _TYPES[graph.type])
        return feeds


def _session(model: bytes | str, where: str) -> Any:
    """``model``: the file's content, or its path where it may name other files."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would print is in the exception
    options.intra_op_num_threads = torch.get_num_threads()  # the threads that training has, not every core
    there = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # as above
        raise EdgekitError(
            f"this is not an ONNX file that runs here: {first_line(error)}",
            where=where,
            fix="export it again, with an opset that this onnxruntime knows",
        ) from error
