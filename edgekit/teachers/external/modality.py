"""A source whose frames have the outputs of an external teacher as further modalities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.dronescapes.files import read_array, write_array
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo, Source
from edgekit.errors import EdgekitError
from edgekit.frames.files import make_cache
from edgekit.teachers.external.teacher import ExternalTeacher

_FORMAT = 1  # raised when what is stored of the same teacher's answers changes


class WithModalities:
    """The frames of ``source`` with an external teacher's outputs, computed once per frame and stored under ``cache``.

    Predictions that lie on disk are read where they are. Everything else is the source's own.
    """

    def __init__(self, source: Source, external: ExternalTeacher, cache: Path):
        self._source = source
        self._external = external
        self._frames = FrameSet(source)
        self.tasks = {**source.tasks, **external.tasks}
        self.sequential = source.sequential
        self._key: str | None = None
        self._cache = Path(cache)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)  # splits, frames, flow, and what only some sources have

    def fingerprint(self) -> str:
        if self._key is None:
            parts = json.dumps([_FORMAT, self._source.fingerprint(), self._external.key()], sort_keys=True)
            self._key = hashlib.sha256(parts.encode()).hexdigest()
        return self._key

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Native maps. Thread-safe: outputs that are missing or damaged in the cache are computed and written first."""
        names = list(names)
        maps = self._source.read(frame, [n for n in names if n not in self._external.tasks])
        wanted = [n for n in names if n in self._external.tasks]
        if not wanted:
            return maps
        if not self._external.model.stored:
            with suppress(EdgekitError):  # a file is missing or damaged
                return maps | {n: read_array(str(self._path(frame, n))) for n in wanted}
        return maps | {n: array for n, array in self._predict(frame).items() if n in wanted}

    def _predict(self, frame: FrameInfo) -> dict[str, np.ndarray]:
        soft = self._external.answer(self._frames, frame, None)
        native = {name: self._external.native(name, value) for name, value in soft.items()}
        if not self._external.model.stored:
            for name, array in native.items():
                make_cache(self._path(frame, name).parent)
                write_array(self._path(frame, name), array, compress=True)
        return native

    def _path(self, frame: FrameInfo, name: str) -> Path:
        stem = frame.name.replace("/", "_")
        folder = f"external-{self._external.name}-{self.fingerprint()[:12]}"
        return self._cache / folder / frame.split / name / f"{stem}.npz"
