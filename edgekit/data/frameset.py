"""The frames a run works on: a source without its bad files, and modalities computed from rgb, cached in memory."""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from edgekit.data.fold import folds_of
from edgekit.data.modalities import COMPUTED, with_computed
from edgekit.data.source import FrameInfo, Source
from edgekit.errors import EdgekitError
from edgekit.tasks import Task


class FrameSet:
    """Reads any task of any frame; ``tasks`` says which there are.

    ``excluded`` names of frames to leave out, ``cache_bytes`` how much of what was read stays in memory, and
    ``fold`` (index, count): that one of ``count`` folds of ``train`` leaves it, and the labelled frames among them
    become ``val``; see ``folds_of``. So settings are chosen without the real ``val``.
    """

    def __init__(
        self,
        source: Source,
        *,
        excluded: Collection[str] = (),
        cache_bytes: int = 0,
        fold: tuple[int, int] | None = None,
    ):
        self.source = source
        self.tasks: Mapping[str, Task] = with_computed(source.tasks)
        self._excluded = frozenset(excluded)
        self._fold = fold
        self._cache: dict[tuple[str, str, str], np.ndarray] = {}
        self._room = cache_bytes
        self._lock = threading.Lock()

    def without(self, names: Collection[str]) -> FrameSet:
        """The same frames without the named ones; both sets share what is cached in memory."""
        other = copy.copy(self)
        other._excluded = self._excluded | frozenset(names)
        return other

    def splits(self) -> tuple[str, ...]:
        splits = self.source.splits()
        return (*splits, "val") if self._fold and "val" not in splits else splits

    def frames(self, split: str) -> list[FrameInfo]:
        """The usable frames of a split, in the source's order. EdgekitError for an unknown or empty split."""
        if split not in self.splits():
            fix = f"the data has {', '.join(self.splits())}"
            raise EdgekitError(f"there is no split '{split}'", where="the data's splits", fix=fix)
        if self._fold and split in ("train", "val"):
            frames = self._folded(held_out=split == "val")
        else:
            frames = self.source.frames(split)
        frames = [f for f in frames if f.name not in self._excluded]
        if not frames:
            fix = "run `edgekit recipe check` to see why"
            raise EdgekitError(f"the split '{split}' has no usable frame", where=f"the split '{split}'", fix=fix)
        return frames

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Native maps by task name; absent tasks are left out. Do not write into what comes back: it may be cached."""
        names = list(names)
        stored = [n for n in names if n in self.source.tasks]
        computed = [n for n in names if n not in self.source.tasks]
        if computed and "rgb" not in stored:
            stored.append("rgb")
        maps = self._read_stored(frame, stored)
        for name in computed:
            if "rgb" in maps:
                maps[name] = COMPUTED[name].compute(maps["rgb"])
        return {n: maps[n] for n in names if n in maps}

    @property
    def sequential(self) -> bool:
        """Whether neighbouring indices of a scene are neighbouring moments of a film."""
        return self.source.sequential

    def flow(self, frame: FrameInfo) -> np.ndarray | None:
        return self.source.flow(frame)

    def _folded(self, *, held_out: bool) -> list[FrameInfo]:
        index, count = self._fold
        frames = self.source.frames("train")
        fold = folds_of(frames, count)
        return [f for f in frames if (fold[f.name] == index) == held_out and (f.labelled or not held_out)]

    def _read_stored(self, frame: FrameInfo, names: list[str]) -> dict[str, np.ndarray]:
        found, missing = {}, []
        for name in names:
            array = self._cache.get((frame.split, frame.name, name))
            if array is None:
                missing.append(name)
            else:
                found[name] = array
        if missing:
            read = self.source.read(frame, missing)
            found.update(read)
            with self._lock:
                for name, array in read.items():
                    key = (frame.split, frame.name, name)
                    if key not in self._cache and array.nbytes <= self._room:
                        self._room -= array.nbytes
                        self._cache[key] = array
        return found
