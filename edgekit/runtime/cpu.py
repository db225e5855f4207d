"""What runtimes that take an ONNX file on the CPU have in common: threads, sizes that are checked, and their errors."""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.graph import read_graph
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend, Options
from edgekit.runtime.preprocess import Feed


def usable_cores() -> int:
    """The cores this process may run on, which a container or taskset may have made fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CpuBackend(Backend):
    """Runs an artifact's ONNX file on the CPU.

    package  the Python package that runs it
    extra    of edgekit's extras the one that installs the package
    line     which line of its errors says what is wrong
    """

    package: ClassVar[str]
    extra: ClassVar[str]
    line: ClassVar[int] = 0

    def __init__(self, bundle: Bundle, artifact: Artifact, options: Options):
        self.artifact = artifact
        self._where = str(bundle.path(artifact.file))
        self._threads = _threads(options.threads)
        # From memory: what was checked is what runs, and a graph cannot name other files to be read.
        content = bundle.read(artifact.file)
        # Where sides are open, sizes between the bounds that were checked are checked when they come.
        self._graph, self._checked = read_graph(content) if artifact.profile else None, set()
        self._version = ""
        self._closed = False
        try:
            self._open(content)
        except ModuleNotFoundError as error:
            if error.name != self.package:
                raise
            raise EdgekitError(
                f"the {self.name} backend needs the package '{self.package}', which is not installed",
                where=f"this Python: {sys.executable}",
                fix=f"pip install 'edgekit[{self.extra}]'",
            ) from None
        except Exception as error:  # these runtimes have no common base class for what they raise
            raise EdgekitError(
                f"{self._runtime} cannot load the network: {self._said(error)}",
                where=self._where,
                fix=f"update {self.package}, or choose another precision or lane of the bundle",
            ) from error

    @abstractmethod
    def _open(self, content: bytes) -> None:
        """Import the package, set ``_version``, load the file. Exceptions are reported as runtime errors."""

    @abstractmethod
    def _infer(self, feed: Feed, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """``run`` of what was checked. Exceptions are reported as runtime errors."""

    @property
    def _runtime(self) -> str:
        return f"{self.package} {self._version}".strip()

    def run(self, feed: Feed | np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        if self._closed:
            raise ValueError("the backend is closed")
        feed = self.named(feed)
        if self._graph:
            self._check({name: array.shape for name, array in feed.items()})
        try:
            return self._infer(feed, wanted)
        except Exception as error:
            raise EdgekitError(
                f"{self._runtime} cannot run the network on an input {_shown(feed.values())}: {self._said(error)}",
                where=self._where,
                fix=f"the input is {_shown(self.artifact.inputs)}; if that is what it got, "
                f"update {self.package} or export the bundle again",
            ) from error

    def _check(self, shapes: dict[str, tuple[int, ...]]) -> None:
        given = tuple(shapes.items())
        if given in self._checked:
            return
        try:
            self._graph.check_sizes(shapes)
        except ValueError as error:
            told = ", ".join(map(str, shapes.values()))
            fix = "give another number of frames, or raise EDGEKIT_MOST_BYTES where it is your own"
            raise EdgekitError(f"for an input {told} the graph {error}", where=self._where, fix=fix) from error
        self._checked.add(given)

    def _said(self, error: Exception) -> str:
        return (f"{error}".strip() or type(error).__name__).splitlines()[self.line]

    def describe(self) -> dict[str, Any]:
        return {
            "backend": self.name,
            "runtime": self._runtime,
            "device": "cpu",
            "lane": self.artifact.lane,
            "precision": self.artifact.precision,
            "file": self.artifact.file,
            "threads": self._threads,
        }

    def close(self) -> None:
        self._closed = True


def _shown(arrays: Iterable[Any]) -> str:
    return ", ".join(f"{array.shape} {array.dtype}" for array in arrays)


def _threads(asked: int | None) -> int:
    """EdgekitError for more threads than cores: they would wait for each other."""
    cores = usable_cores()
    if asked is not None and not 1 <= asked <= cores:
        fix = f"give --threads 1 to {cores}, or leave it out to use all {cores}"
        raise EdgekitError(f"{asked} threads, where this process may use {cores} core(s)", where="--threads", fix=fix)
    return asked or cores
