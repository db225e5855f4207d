"""A source whose frames have what a teacher from elsewhere says of them, as modalities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.dronescapes.files import read_array, write_array
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo, Source
from edgekit.errors import EdgekitError
from edgekit.frames.files import is_whole_zip, make_cache
from edgekit.teachers.external.external import External


class WithModalities:
    """The frames of ``source`` with an `External`'s outputs; asked once per frame and kept under ``cache``.

    Predictions that lie on disk are read where they are. All else is the source's own.
    """

    def __init__(self, source: Source, external: External, cache: Path):
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
            told = json.dumps([self._source.fingerprint(), self._external.key()], sort_keys=True)
            self._key = hashlib.sha256(told.encode()).hexdigest()
        return self._key

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Native maps. Thread-safe: what the cache lacks, or holds damaged, is asked for and written first."""
        names = list(names)
        maps = self._source.read(frame, [n for n in names if n not in self._external.tasks])
        wanted = [n for n in names if n in self._external.tasks]
        if not wanted:
            return maps
        paths = {n: self._path(frame, n) for n in wanted}
        if self._external.form.stored or not all(is_whole_zip(path) for path in paths.values()):
            return maps | {n: a for n, a in self._ask(frame).items() if n in wanted}
        try:
            return maps | {n: read_array(str(path)) for n, path in paths.items()}
        except EdgekitError:  # damaged inside: what the teacher said can be asked again
            return maps | {n: a for n, a in self._ask(frame).items() if n in wanted}

    def _ask(self, frame: FrameInfo) -> dict[str, np.ndarray]:
        told = self._external.answer(self._frames, frame, None)
        native = {name: self._external.native(name, soft) for name, soft in told.items()}
        if not self._external.form.stored:
            for name, array in native.items():
                make_cache(self._path(frame, name).parent)
                write_array(self._path(frame, name), array, compress=True)
        return native

    def _path(self, frame: FrameInfo, name: str) -> Path:
        stem = frame.name.replace("/", "_")
        folder = f"external-{self._external.name}-{self.fingerprint()[:12]}"
        return self._cache / folder / frame.split / name / f"{stem}.npz"
