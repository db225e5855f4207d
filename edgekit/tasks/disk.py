"""Helpers of the kinds to read and write maps in the layout of Dronescapes, ``edgekit.data.dronescapes``.

NaN is invalid everywhere. Floats are written as float16 and read as float32; where there is one channel, (H, W) is read
as well as (H, W, 1).
"""

from __future__ import annotations

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.task import Task


def plane(task: Task, stored: np.ndarray, where: str, kinds: str, wanted: str) -> np.ndarray:
    """(H, W) of (H, W) or (H, W, 1), of a dtype among numpy's ``kinds``. EdgekitError that says what is ``wanted``."""
    flat = stored[..., 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored
    if flat.ndim != 2 or stored.dtype.kind not in kinds:
        raise misfit(task, stored, where, wanted)
    return flat


def floats(task: Task, stored: np.ndarray, where: str, channels: int) -> np.ndarray:
    """(H, W, channels) float32 of floats on disk. EdgekitError for anything else."""
    wide = stored[..., None] if stored.ndim == 2 else stored
    if stored.dtype.kind != "f" or wide.ndim != 3 or wide.shape[2] != channels:
        raise misfit(task, stored, where, f"float (H, W, {channels})")
    return wide.astype(np.float32)


def as_floats(native: np.ndarray) -> np.ndarray:
    """A native map as (H, W, C) float16."""
    return native.reshape(*native.shape[:2], -1).astype(np.float16)


def misfit(task: Task, stored: np.ndarray, where: str, wanted: str) -> EdgekitError:
    """The error for a map of another layout than ``wanted``."""
    shape = "x".join(map(str, stored.shape)) or "a single number"
    return EdgekitError(
        f"the task '{task.name}' ({task.kind}) is {shape} {stored.dtype} on disk, expected {wanted}",
        where=where,
        fix=f"write the file again, or say what the folder holds under data.tasks: {{{task.name}: {{kind: …}}}}",
    )
