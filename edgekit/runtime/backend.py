"""What runs a graph: one interface for every runtime."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError
from edgekit.parts import Parts
from edgekit.runtime.preprocess import Feed


@dataclass(frozen=True)
class Options:
    """What the user may choose of a backend; None is the backend's own default.

    threads  CPU threads of one inference
    engine   a built engine's file, for backends that build one from the artifact
    """

    threads: int | None = None
    engine: Path | None = None


class Backend(AbstractContextManager):
    """Runs one artifact of a bundle: network-size input in, the graph's outputs out, nothing before or after it.

    name   the key in ``BACKENDS``
    lanes  the lanes whose files it reads, the one it reads by default first
    """

    name: ClassVar[str]
    lanes: ClassVar[tuple[str, ...]]
    artifact: Artifact

    @abstractmethod
    def __init__(self, bundle: Bundle, artifact: Artifact, options: Options): ...

    @classmethod
    def choose(cls, bundle: Bundle, lane: str | None, precision: str | None, options: Options) -> Artifact:
        """The artifact to run; None is the backend's choice: its first lane, in int8 where there is that, else fp32.

        EdgekitError, listing what there is, where the bundle has no such artifact.
        """
        lane = lane or cls.lanes[0]
        if lane not in cls.lanes:
            raise EdgekitError(
                f"{cls.name} does not read the lane '{lane}'", where="--lane", fix=f"use one of {', '.join(cls.lanes)}"
            )
        if precision is None:
            precision = "int8" if bundle.artifacts(lane, "int8") else "fp32"
        return bundle.artifact(lane, precision)

    @abstractmethod
    def run(self, feed: Feed | np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """The ``wanted`` outputs for ``feed``: name of an input → array as the artifact says, C-contiguous.

        An array alone is that of the only input; see ``named``. The answers may be buffers of the backend: they are
        valid until the next call.
        """

    def named(self, feed: Feed | np.ndarray) -> Feed:
        """A feed by names."""
        return {self.artifact.input.name: feed} if isinstance(feed, np.ndarray) else feed

    def run_many(self, feeds: Iterable[Feed | np.ndarray], wanted: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """``run`` of every feed, in order. A backend that can do so computes the next answer while one is copied out.

        An answer is valid until the next is asked for. Nothing else may run until all were read or this was closed.
        """
        for feed in feeds:
            yield self.run(feed, wanted)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """For reports, ready for JSON: at least ``backend``, ``runtime`` (its version), ``device``, ``lane``,
        ``precision``, ``file`` and ``threads``."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds; it cannot run afterwards. Twice is fine."""

    def __exit__(self, *_: object) -> None:
        self.close()


# Imported when asked for; a module imports its runtime inside its functions.
BACKENDS: Parts[type[Backend]] = Parts(
    "edgekit.backends",
    "backend",
    {
        "onnxruntime": "edgekit.runtime.onnxruntime.backend:OnnxRuntime",
        "openvino": "edgekit.runtime.openvino.backend:OpenVino",
        "tensorrt": "edgekit.runtime.tensorrt.backend:TensorRT",
    },
    base=Backend,
    classes=True,
)
