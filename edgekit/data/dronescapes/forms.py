"""How a map lies on disk, and what it is in a frame: one pair of functions per kind of task.

| kind     | on disk                                          | native                                        |
|----------|--------------------------------------------------|-----------------------------------------------|
| semantic | class index (H, W) uint8 or uint16               | (H, W) uint8                                  |
|          | scores (H, W, C) float, NaN = no label           | the best, 255 = ignore                        |
| depth    | (H, W, 1) float, metres or 0-1                   | (H, W) float32, clipped to the range          |
| normals  | (H, W, 3) float, (n + 1) / 2                     | (H, W, 3) float32 of length 1                 |
| binary   | (H, W) bool                                      | (H, W) uint8 0 or 1                           |
| modality | (H, W, C) float, or uint8 with the range 0-255   | the same, (H, W) when C is 1, float32         |

NaN is invalid everywhere. Floats are written as float16 and read as float32; where there is one channel, (H, W) is read
as well as (H, W, 1). Metric depth of 0 or less is no depth and becomes NaN. Published normals are those of x right,
y down, z forward and point *away* from the camera (z > 0); their sign is kept, as no score or augmentation depends on
it. A normal without direction ((0, 0, 0) or (½, ½, ½) on disk) becomes NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks import Task
from edgekit.tasks.kind import holes
from edgekit.tasks.modality import EIGHT_BIT
from edgekit.tasks.semantic import IGNORE

_SLACK = 0.01  # by which stored normals may leave 0-1: float16, and resampling
_NO_DIRECTION = 0.1  # length below which a vector points nowhere


def to_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    """What a file holds as the native map of the task. EdgekitError naming ``where``, the file, for a misfit."""
    return _FORMS[task.kind][0](task, stored, where)


def to_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    """A native map as the public reader of the layout wants it. EdgekitError for what the layout cannot say."""
    return _FORMS[task.kind][1](task, native, where)


def _semantic_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    count = len(task.classes)
    if stored.dtype.kind == "f":
        if stored.ndim != 3 or stored.shape[2] != count:
            raise _misfit(task, stored, where, f"class indices (H, W), or scores (H, W, {count})")
        known = ~holes(stored) & (stored != 0).any(axis=-1)
        return np.where(known, np.nan_to_num(stored).argmax(axis=-1), IGNORE).astype(np.uint8)
    index = _plane(task, stored, where, "ui")
    nobody = np.iinfo(index.dtype).max  # 65535 in uint16 is the 255 of uint8
    wrong = (index < 0) | ((index >= count) & (index != IGNORE) & (index != nobody))
    if wrong.any():
        raise EdgekitError(
            f"the task '{task.name}' has class {int(index[wrong][0])}, and there are {count} classes",
            where=where,
            fix=f"use 0 to {count - 1}, or name the folder's own classes under data.tasks.{task.name}",
        )
    return np.minimum(index, IGNORE).astype(np.uint8)


def _semantic_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    """Indices; where some pixels have no label, scores: an index that is no class breaks the public reader."""
    ignored = native == IGNORE
    if not ignored.any():
        return native
    scores = (native[..., None] == np.arange(len(task.classes))).astype(np.float16)
    scores[ignored] = np.nan
    return scores


def _depth_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    depth = _plane(task, stored, where, "f").astype(np.float32)
    if task.unit:
        depth[depth <= 0] = np.nan
        return np.minimum(depth, np.float32(task.range[1]))
    return np.clip(depth, *(np.float32(side) for side in task.range))


def _floats_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    return native.reshape(*native.shape[:2], -1).astype(np.float16)


def _normals_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    if stored.dtype.kind != "f" or stored.ndim != 3 or stored.shape[2] != 3:
        raise _misfit(task, stored, where, "float (H, W, 3)")
    normals = stored.astype(np.float32)
    least, most = np.fmin.reduce(normals, axis=None), np.fmax.reduce(normals, axis=None)  # of all that is no NaN
    if least < -_SLACK or most > 1 + _SLACK:
        raise EdgekitError(
            f"the task '{task.name}' has the value {least if least < -_SLACK else most:.4g}, "
            "and normals lie on disk in 0-1",
            where=where,
            fix="store (n + 1) / 2",
        )
    normals *= 2
    normals -= 1
    square = np.einsum("hwc,hwc->hw", normals, normals)  # three times as fast as norm, and this is read all the time
    nowhere = ~(square >= _NO_DIRECTION**2)
    corner = square > 2.99  # of (0, 0, 0) on disk it is 3
    corner[corner] = (normals[corner] == -1).all(axis=-1)
    normals /= np.sqrt(np.maximum(square, _NO_DIRECTION**2))[..., None]
    normals[nowhere | corner] = np.nan
    return normals


def _normals_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    return ((native + 1) / 2).astype(np.float16)


def _binary_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    plane = _plane(task, stored, where, "bui")
    if plane.dtype.kind != "b" and ((plane < 0) | ((plane > 1) & (plane != IGNORE))).any():
        raise _misfit(task, stored, where, "bool (H, W)")
    return plane.astype(np.uint8)


def _binary_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    if (native == IGNORE).any():
        raise EdgekitError(
            f"the binary map '{task.name}' has pixels without a value, which a bool cannot say",
            where=where,
            fix="leave the task out with --task, or make it a semantic task of two classes",
        )
    return native.astype(bool)


def _modality_native(task: Task, stored: np.ndarray, where: str) -> np.ndarray:
    eight_bit = tuple(task.range) == EIGHT_BIT
    fits = stored.dtype == np.uint8 if eight_bit else stored.dtype.kind == "f"
    wide = stored[..., None] if stored.ndim == 2 else stored
    if not fits or wide.ndim != 3 or wide.shape[2] != task.channels:
        raise _misfit(task, stored, where, f"{'uint8' if eight_bit else 'float'} (H, W, {task.channels})")
    values = wide if eight_bit else wide.astype(np.float32)
    return values[..., 0] if task.channels == 1 else values


def _modality_disk(task: Task, native: np.ndarray, where: str) -> np.ndarray:
    wide = native.reshape(*native.shape[:2], -1)
    return wide if wide.dtype == np.uint8 else wide.astype(np.float16)


def _plane(task: Task, stored: np.ndarray, where: str, kinds: str) -> np.ndarray:
    """(H, W) of (H, W) or (H, W, 1), of a dtype among numpy's ``kinds``."""
    plane = stored[..., 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored
    if plane.ndim != 2 or stored.dtype.kind not in kinds:
        wanted = {"f": "float (H, W, 1)", "ui": "class indices (H, W)", "bui": "bool (H, W)"}[kinds]
        raise _misfit(task, stored, where, wanted)
    return plane


def _misfit(task: Task, stored: np.ndarray, where: str, wanted: str) -> EdgekitError:
    shape = "x".join(map(str, stored.shape)) or "a single number"
    return EdgekitError(
        f"the task '{task.name}' ({task.kind}) is {shape} {stored.dtype} on disk, expected {wanted}",
        where=where,
        fix=f"write the file again, or say what the folder holds under data.tasks: {{{task.name}: {{kind: …}}}}",
    )


_Form = Callable[[Task, np.ndarray, str], np.ndarray]
_FORMS: dict[str, tuple[_Form, _Form]] = {
    "semantic": (_semantic_native, _semantic_disk),
    "depth": (_depth_native, _floats_disk),
    "normals": (_normals_native, _normals_disk),
    "binary": (_binary_native, _binary_disk),
    "modality": (_modality_native, _modality_disk),
}
