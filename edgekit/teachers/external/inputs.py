"""From a frame's native maps to the tensor that a teacher from elsewhere was trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.config import InputConfig


def channel_count(config: InputConfig, tasks: Mapping[str, Task], where: str) -> int:
    """Channels of an input. EdgekitError for a modality the data lacks, or statistics of another number of channels."""
    for name in config.modalities:
        if name not in tasks:
            raise EdgekitError(
                f"the data has no '{name}'", where=f"{where}.modalities", fix=f"use one of {', '.join(tasks)}"
            )
    counts = {name: kind_of(tasks[name]).channels(tasks[name]) for name in config.modalities}
    total = sum(counts.values())
    for key in ("mean", "std"):
        given = getattr(config, key)
        if len(given) not in (1, total):
            raise EdgekitError(
                f"{key} has {len(given)} entries, and the input has {total} channels: "
                + ", ".join(f"{name} {count}" for name, count in counts.items()),
                where=f"{where}.{key}",
                fix="give one, or one per channel",
            )
    if config.order == "bgr" and "rgb" not in config.modalities:
        raise EdgekitError(
            "the order bgr is of the modality rgb, which is not an input",
            where=f"{where}.order",
            fix="leave order out, or add rgb",
        )
    return total


def assemble(config: InputConfig, maps: Mapping[str, np.ndarray], tasks: Mapping[str, Task], size: tuple) -> Tensor:
    """(1, C, H, W) or (1, H, W, C) float32 on the CPU. ``maps`` are native, of the frame's ``size`` (height, width)."""
    channels = [native_channels(tasks[name], maps.get(name), size) for name in config.modalities]
    if config.order == "bgr":
        channels[config.modalities.index("rgb")] = channels[config.modalities.index("rgb")][..., ::-1]
    stacked = np.concatenate(channels, axis=-1)
    x = torch.from_numpy(np.ascontiguousarray(stacked.transpose(2, 0, 1)))[None]  # (1, C, H, W)
    mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (config.mean, config.std))
    x = ((x - mean) / std).nan_to_num(nan=0.0)
    wanted = config.size or tuple(-(-side // config.multiple) * config.multiple for side in size)
    x = resized_to(x, wanted, config.resize)
    return x.permute(0, 2, 3, 1).contiguous() if config.layout == "channels_last" else x


def native_channels(task: Task, native: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) float32 in native units, NaN where nothing is known; one channel per class of a semantic map."""
    count = kind_of(task).channels(task)
    if native is None:
        return np.full((*size, count), np.nan, np.float32)
    if kind_of(task).interpolation == "nearest":
        return kind_of(task).encode(task, native)
    return native.astype(np.float32).reshape(*native.shape[:2], count)


def resized_to(x: Tensor, size: tuple[int, int], how: str = "bilinear") -> Tensor:
    """(N, C, H, W) at another size; averaged where it shrinks, unless ``how`` is nearest."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if how == "nearest":
        return F.interpolate(x, size=size, mode="nearest")
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=shrinks)
