"""A teacher that is a function of the user's Python: the only place where a recipe runs code, and only if allowed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.teachers.external.config import CodeConfig
from edgekit.teachers.external.inputs import assemble, channel_count
from edgekit.teachers.external.model import ExternalModel, Setting, batch_outputs
from edgekit.teachers.external.permission import code_is_allowed
from edgekit.training.precision import device


class Code(ExternalModel):
    """``module:function`` on the Python path. Its predictions depend on the module's file, ``files``, ``arguments``.

    EdgekitError where --allow-code was not given, and for what cannot be imported, found or called.
    """

    Config = CodeConfig

    def __init__(self, config: CodeConfig, setting: Setting):
        self._config = config
        self._setting = setting
        module, name = config.function.split(":")
        where = f"{setting.where}.function"
        if not code_is_allowed():
            raise EdgekitError(
                f"the recipe wants to run code: {config.function}",
                where=where,
                fix="read that code, and give --allow-code if you trust it",
            )
        for i, given in enumerate(config.inputs):
            channel_count(given, setting.tasks, f"{setting.where}.inputs.{i}")
        self._files = [setting.file(path) for path in config.files]
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            raise EdgekitError(
                f"cannot import '{module}': {error}",
                where=where,
                fix="put its folder on the Python path: PYTHONPATH=FOLDER edgekit …",
            ) from error
        function = getattr(found, name, None)
        if not callable(function):
            raise EdgekitError(
                f"the module '{module}' has no function '{name}'",
                where=where,
                fix="name a function of the module: module:function",
            )
        self._source = getattr(found, "__file__", None)
        self._network = function(**config.arguments)
        if not callable(self._network):
            raise EdgekitError(
                f"'{config.function}' returned no network but a {type(self._network).__name__}",
                where=where,
                fix="let it return a torch module, or another function from tensors to tensors",
            )
        if isinstance(self._network, nn.Module):
            self._network = self._network.eval().to(device())
        self.needs = list(dict.fromkeys(name for given in config.inputs for name in given.modalities))

    def key(self) -> Any:
        return [sha256(path) for path in ([self._source] if self._source else []) + self._files]

    @torch.no_grad()
    def raw_batch(
        self, frames: Sequence[FrameInfo], maps: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]
    ) -> list[dict[str, Tensor] | None]:
        inputs = [
            torch.cat([assemble(given, m, self._setting.tasks, size) for m in maps]).to(device())
            for given in self._config.inputs
        ]
        found = self._network(*inputs)
        if isinstance(found, Tensor):
            found = {"output": found}
        elif isinstance(found, Sequence):
            found = {str(i): value for i, value in enumerate(found)}
        elif not isinstance(found, Mapping):
            what = f"'{self._config.function}' returned a {type(found).__name__}, not tensors"
            raise EdgekitError(
                what, where=self._setting.where, fix="let it return a tensor, a list of them, or a dictionary"
            )
        return batch_outputs(found, len(maps), self._config, self._setting.where)
