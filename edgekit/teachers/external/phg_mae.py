"""Checkpoints of PHG-MAE as published: SafeUAV weights, and beside them channels, task names and statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.data.dronescapes.classes import CLASSES
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import sha256
from edgekit.heads import HEADS
from edgekit.networks.safeuav import SafeUAV
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.config import CheckpointConfig
from edgekit.teachers.external.inputs import native_channels, resized_to
from edgekit.teachers.external.model import ExternalModel, Setting, output_name
from edgekit.training.checkpoint import load_checkpoint
from edgekit.training.precision import device


class PhgMae(ExternalModel):
    """All tasks lie on the channel axis in the order of ``data_shape``, in input and output alike; hidden ones are 0.

    Inputs are in the units of the data set (rgb 0-255, normals in 0-1, classes one-hot), resized to the nearest pixel
    and standardised with the checkpoint's statistics where it has any for the task. Outputs are standardised alike:
    logits of classes, values of everything else. EdgekitError for a file that is damaged, of another layout, or in
    which ``data_shape`` and ``task_names`` differ in order: the published reader counts channels in the order of the
    one and looks them up in the order of the other.
    """

    Config = CheckpointConfig

    def __init__(self, config: CheckpointConfig, setting: Setting):
        self._config = config
        # With what the recipe says of maps that the data does not have: new modalities.
        own = {name: output.task.task(name) for name, output in config.outputs.items() if output.task is not None}
        self._tasks = {**setting.tasks, **own}
        self._path = setting.file(config.file)
        self._where = setting.where
        self._slots, self._statistics, self.network = read_checkpoint(self._path)
        self.network.to(device()).eval()
        self._size = config.size or self._slots.get("rgb", next(iter(self._slots.values())))[1:]
        ends = list(accumulate(channels for channels, *_ in self._slots.values()))
        self._channels = {
            name: slice(end - s[0], end) for (name, s), end in zip(self._slots.items(), ends, strict=True)
        }
        for theirs, ours in config.inputs.items():
            self._check_input(theirs, ours)
        self._names = {
            task: output_name(self._slots, output.output, task, f"{setting.where}.outputs.{task}")
            for task, output in config.outputs.items()
        }
        self.needs = list(config.inputs.values())

    def classes(self, task: str) -> Sequence[str] | None:
        """The published eight, of an output of eight channels."""
        return CLASSES if self._slots[self._names[task]][0] == len(CLASSES) else None

    def default_form(self, task: Task) -> str:
        """Classes are logits; everything else is a regression of what lies in the data set's files."""
        return (not task.classes and HEADS[task.kind].stored_answer) or super().default_form(task)

    def key(self) -> Any:
        return sha256(self._path)

    @torch.no_grad()
    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor]:
        x = torch.zeros(1, sum(channels for channels, *_ in self._slots.values()), *self._size)
        for theirs, ours in self._config.inputs.items():
            if ours in maps:
                values = resized_to(_published_units(self._tasks[ours], maps[ours]), self._size, "nearest")
                if theirs in self._statistics:
                    mean, std = self._statistics[theirs]
                    values = (values - mean) / std
                x[:, self._channels[theirs]] = values.nan_to_num(nan=0.0)
        y = self.network(x.to(device()))
        return {task: self._output(task, name, y[:, self._channels[name]]) for task, name in self._names.items()}

    def _output(self, task: str, theirs: str, values: Tensor) -> Tensor:
        if theirs in self._statistics:
            mean, std = self._statistics[theirs]
            values = values * std.to(values.device) + mean.to(values.device)
        ours = self._tasks[task]
        form = self._config.outputs[task].form or self.default_form(ours)
        # a regression of 0 or 1 may end a little outside
        return values.clamp(0, 1) if form == "probabilities" and not ours.classes else values

    def _check_input(self, theirs: str, ours: str) -> None:
        where = f"{self._where}.inputs.{theirs}"
        if theirs not in self._slots:
            raise EdgekitError(
                f"the checkpoint has no task '{theirs}'", where=where, fix=f"it has {', '.join(self._slots)}"
            )
        if ours not in self._tasks:
            raise EdgekitError(f"the data has no '{ours}'", where=where, fix=f"use one of {', '.join(self._tasks)}")
        count, wanted = kind_of(self._tasks[ours]).channels(self._tasks[ours]), self._slots[theirs][0]
        if count != wanted:
            raise EdgekitError(
                f"the checkpoint's '{theirs}' has {wanted} channels, and '{ours}' has {count}",
                where=where,
                fix="show it the modality it was trained on",
            )


def read_checkpoint(path: Any) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[Tensor, Tensor]], SafeUAV]:
    """(task -> (C, H, W), task -> (mean, std) each (C, 1, 1), network). Nothing in the file is executed."""

    def misfit(what: str) -> EdgekitError:
        return EdgekitError(
            f"this is no PHG-MAE checkpoint as published: {what}",
            where=str(path),
            fix="give a file with state_dict and hyper_parameters in plain values, or export the network to ONNX",
        )

    try:
        content = load_checkpoint(path)
    except EdgekitError as error:  # its advice is for our own checkpoints
        raise misfit(error.what) from error

    try:
        cfg = content["hyper_parameters"]["cfg"]
        shapes = {
            str(name): tuple(int(n) for n in shape) for name, shape in cfg["model"]["hparams"]["data_shape"].items()
        }
        names = [str(name) for name in cfg["data"]["parameters"]["task_names"]]
        size = {k: int(cfg["model"]["parameters"][k]) for k in ("in_channels", "out_channels", "num_filters")}
        statistics = {
            str(name): tuple(torch.as_tensor(rows[i], dtype=torch.float32).reshape(-1, 1, 1) for i in (2, 3))
            for name, rows in content["hyper_parameters"]["statistics"].items()
        }
        weights = dict(content["state_dict"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise misfit(f"{type(error).__name__} {error}") from error
    if list(shapes) != names:
        at = next(
            (i for i, (a, b) in enumerate(zip(shapes, names, strict=False)) if a != b), min(len(shapes), len(names))
        )
        raise EdgekitError(
            f"the orders of data_shape and task_names differ from place {at} on: "
            f"{', '.join(shapes)} against {', '.join(names)}; which channels are whose is not decidable",
            where=str(path),
            fix="export the network to ONNX with its channels in a known order",
        )
    if any(len(shape) != 3 for shape in shapes.values()):
        raise misfit(f"data_shape is not (C, H, W) throughout: {shapes}")
    total = sum(shape[0] for shape in shapes.values())
    if {size["in_channels"], size["out_channels"]} != {total}:
        raise misfit(f"{size['in_channels']} channels in and {size['out_channels']} out, and the tasks have {total}")
    for name, rows in statistics.items():
        if name in shapes and any(len(row) not in (1, shapes[name][0]) for row in rows):
            raise misfit(f"the statistics of '{name}' are not of its {shapes[name][0]} channels")
    network = SafeUAV(size["in_channels"], size["out_channels"], width=size["num_filters"])
    # counters that evaluation does not read, and that not every exporter keeps
    counters = {key: v for key, v in network.state_dict().items() if key.endswith(".num_batches_tracked")}
    try:
        network.load_state_dict(counters | weights)
    except (
        RuntimeError,
        TypeError,
        AttributeError,
    ) as error:  # torch names the tensors that are missing, foreign or of another shape
        raise misfit(" ".join(str(error).split())) from error
    return shapes, statistics, network


def _published_units(task: Task, native: np.ndarray) -> Tensor:
    """A native map in the units of the data set, (1, C, H, W) float32."""
    if kind_of(task).interpolation == "nearest":
        array = native_channels(task, native, native.shape[:2])
    else:
        array = kind_of(task).to_disk(task, native, task.name)
        whole = native.reshape(array.shape)
        if np.array_equal(array, whole.astype(array.dtype), equal_nan=True):
            array = whole  # the same but for the rounding to float16, which is not needed here
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.float32).transpose(2, 0, 1)))[None]
