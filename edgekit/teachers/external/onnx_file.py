"""A teacher in an ONNX file, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import sha256
from edgekit.teachers.external.config import OnnxConfig
from edgekit.teachers.external.inputs import assemble, channel_count
from edgekit.teachers.external.model import ExternalModel, Setting, of_frame, output_name, task_outputs

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxFile(ExternalModel):
    """Any graph of fixed or free sizes; its inputs are matched by name, or else by position."""

    Config = OnnxConfig

    def __init__(self, config: OnnxConfig, setting: Setting):
        self._config = config
        self._setting = setting
        self._path = setting.file(config.file)
        self._session = _session(str(self._path))
        self._feeds = self._matched()
        self._outputs = [output.name for output in self._session.get_outputs()]
        for task, output in config.outputs.items():
            output_name(dict.fromkeys(self._outputs), output.output, task, f"{setting.where}.outputs.{task}")
        self.needs = list(dict.fromkeys(name for given in config.inputs for name in given.modalities))

    def key(self) -> Any:
        return sha256(self._path)

    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor]:
        return self._run([maps], size)[0]

    def raw_batch(
        self, frames: Sequence[FrameInfo], maps: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]
    ) -> list[dict[str, Tensor] | None]:
        fixed = any(isinstance(x.shape[0], int) for x in self._session.get_inputs())
        return super().raw_batch(frames, maps, size) if fixed else self._run(maps, size)

    def _run(self, frames: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]) -> list[dict[str, Tensor]]:
        feeds = {}
        for name, (given, dtype) in self._feeds.items():
            x = np.concatenate([assemble(given, maps, self._setting.tasks, size).numpy() for maps in frames])
            feeds[name] = np.clip(np.rint(x), 0, 255).astype(dtype) if dtype == np.uint8 else x.astype(dtype)
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:  # onnxruntime raises types of its own, which derive from Exception alone
            shapes = ", ".join(f"{name} {x.shape}" for name, x in feeds.items())
            raise EdgekitError(
                f"the ONNX teacher cannot run on {shapes}: {first_line(error)}",
                where=str(self._path),
                fix="see size, multiple and layout of its inputs",
            ) from error
        named = dict(zip(self._outputs, values, strict=True))
        each = [of_frame(named, i, len(frames)) if len(frames) > 1 else named for i in range(len(frames))]
        return [task_outputs(found, self._config, self._setting.where) for found in each]

    def _matched(self) -> dict[str, tuple[Any, Any]]:
        """Graph's input -> (its section of the recipe, numpy type)."""
        own, where = self._session.get_inputs(), f"{self._setting.where}.inputs"
        if len(own) != len(self._config.inputs):
            raise EdgekitError(
                f"the graph has {len(own)} inputs ({', '.join(x.name for x in own)}), "
                f"and the recipe gives {len(self._config.inputs)}",
                where=where,
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
                raise EdgekitError(f"the input '{name}' is {graph.type}, not one of {', '.join(_TYPES)}", where=where)
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


def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would print is in the exception
    options.intra_op_num_threads = torch.get_num_threads()  # the threads that training has, not every core
    there = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # as above
        raise EdgekitError(f"this is not an ONNX file that runs here: {first_line(error)}", where=path) from error
