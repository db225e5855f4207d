"""The target store: one small file per frame, checked when read, so that the ensemble runs only once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.data.batches import SoftMap
from edgekit.data.source import FrameInfo
from edgekit.distill.config import TargetsConfig, teaches
from edgekit.errors import EdgekitError
from edgekit.frames.arrays import read_arrays
from edgekit.frames.files import atomic_write
from edgekit.losses import DETAILS, LOSSES, Detail
from edgekit.tasks import Task, kind_of
from edgekit.tasks.store import from_bytes, to_bytes


def check_losses(active: dict, tasks: Sequence[Task], config: TargetsConfig) -> None:
    """EdgekitError for a loss that needs more detailed targets than are stored, or that is for none of the tasks."""
    for name in active:
        loss = LOSSES[name]
        taught = [task for task in tasks if teaches(name, task.kind)]
        if not taught:
            raise EdgekitError(
                f"the loss '{name}' is for {' and '.join(sorted(loss.kinds)) or 'other kinds'}, "
                f"and the recipe predicts {', '.join(sorted({t.kind for t in tasks}))}",
                where=f"distill.losses.{name}",
                fix=f"set distill.losses.{name}: null",
            )
        if any(task.classes for task in taught) and DETAILS.index(loss.needs) > DETAILS.index(config.keep):
            raise EdgekitError(
                f"the loss '{name}' needs the {loss.needs} class distribution, and the targets keep '{config.keep}'",
                where="targets.keep",
                fix=f"set targets.keep: {loss.needs}, or remove distill.losses.{name}",
            )


def encode(task: Task, target: SoftMap, keep: Detail, top: int) -> dict[str, np.ndarray]:
    """Arrays to store: the kind's own of the soft map, and the square root of the disagreement in 8 bits."""
    return {"disagreement": to_bytes(1 - target.agreement), **kind_of(task).store(task, target.soft, keep, top)}


def decode(task: Task, arrays: dict[str, np.ndarray]) -> SoftMap:
    """The target that ``encode`` stored."""
    return SoftMap(kind_of(task).restore(task, arrays), 1 - from_bytes(arrays["disagreement"]))


class TargetStore:
    """Targets of frames under ``folder``. Reading is thread-safe and keeps up to ``cache_bytes`` in memory."""

    def __init__(self, folder: Path, tasks: Sequence[Task], config: TargetsConfig, *, cache_bytes: int = 2 * 2**30):
        self.folder = folder
        self._tasks = list(tasks)
        self._config = config
        self._memory: dict[str, dict[str, SoftMap]] = {}
        self._room = cache_bytes
        self._lock = threading.Lock()

    def path(self, frame: FrameInfo) -> Path:
        return self.folder / frame.split / f"{frame.name}.npz"

    def mean_size(self, frames: Sequence[FrameInfo]) -> int:
        """Bytes per frame on disk."""
        return round(sum(self.path(f).stat().st_size for f in frames) / len(frames))

    def has(self, frame: FrameInfo) -> bool:
        """Whether the frame's file exists and is undamaged."""
        try:
            self._load(frame)
        except (FileNotFoundError, EdgekitError):
            return False
        return True

    def write(self, frame: FrameInfo, targets: dict[str, SoftMap]) -> None:
        """Store the targets of one frame."""
        arrays = {
            f"{task.name}/{key}": array
            for task in self._tasks
            for key, array in encode(task, targets[task.name], self._config.keep, self._config.top).items()
        }
        with atomic_write(self.path(frame)) as part, open(part, "wb") as file:
            np.savez_compressed(file, **arrays)

    def read(self, frame: FrameInfo) -> dict[str, SoftMap]:
        """The ensemble's prediction for a frame, per task. EdgekitError where it is missing or damaged."""
        key = f"{frame.split}/{frame.name}"
        found = self._memory.get(key)
        if found is None:
            try:
                found = self._load(frame)
            except FileNotFoundError:
                what, where = f"no target for frame '{frame.name}'", str(self.path(frame))
                raise EdgekitError(what, where=where, fix="run again: it is computed then") from None
            size = sum(target.soft.nbytes + target.agreement.nbytes for target in found.values())
            with self._lock:
                if key not in self._memory and size <= self._room:
                    self._room -= size
                    self._memory[key] = found
        return found

    def _load(self, frame: FrameInfo) -> dict[str, SoftMap]:
        path = self.path(frame)
        fix = "delete it and run again"
        arrays: dict[str, dict[str, np.ndarray]] = {}
        for name, array in read_arrays(path, what="the target file", fix=fix).items():
            task_name, _, key = name.partition("/")
            arrays.setdefault(task_name, {})[key] = array
        try:
            return {task.name: decode(task, arrays[task.name]) for task in self._tasks}
        except (KeyError, ValueError, TypeError, IndexError) as error:  # arrays of other names, shapes or types
            raise EdgekitError(f"the target file is damaged: {error}", where=str(path), fix=fix) from error
