"""The Predictor: frames of any size in, maps of the same size out, whatever runs the network."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Any, Literal

import numpy as np

from edgekit.bundle.manifest import Manifest
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.postprocess import finish, results_of
from edgekit.runtime.preprocess import Preprocessor
from edgekit.tasks import Task


class Predictor:
    """Executes a bundle's pre-processing, network and post-processing.

    ``outputs``: names of the results to give, default all of them; ``results`` says which there are. Threads may share
    one: ``infer`` answers them one after the other. The steps (``prepare``, ``graph``, ``finish``, ``raw``) are for
    one thread. Use it as a context manager, or ``close()`` it.
    """

    def __init__(self, manifest: Manifest, backend: Backend, outputs: Sequence[str] | None = None):
        artifact = backend.artifact
        self.manifest, self.backend = manifest, backend
        self.results = results_of(manifest, artifact)
        self.outputs = list(self.results if outputs is None else dict.fromkeys(outputs))
        unknown = [name for name in self.outputs if name not in self.results]
        if unknown or not self.outputs:
            raise EdgekitError(
                f"the bundle has no output '{unknown[0]}'" if unknown else "no output is asked for",
                where="outputs",
                fix=f"ask for some of {', '.join(self.results)}",
            )
        self._wanted = list(dict.fromkeys(self.results[name].source.name for name in self.outputs))
        self._prepare = Preprocessor(manifest.preprocessing, artifact.input)
        self._lock, self._streaming = threading.RLock(), False  # buffers are used again, here and in the backend
        batch, *rest = artifact.input.shape
        self._batch = batch if isinstance(batch, int) else (artifact.profile.max[0] if artifact.profile else None)
        self._fixed_batch = isinstance(batch, int)
        open_size = any(isinstance(side, str) for side in rest)
        spatial = rest[:2] if artifact.input.dtype == "uint8" else rest[1:]
        self.size: tuple[int, int] = manifest.preprocessing.size if open_size else tuple(spatial)

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.manifest.tasks

    def infer(self, frames: np.ndarray, colour: Literal["rgb", "bgr"] = "rgb") -> dict[str, np.ndarray]:
        """A frame (H, W, 3) or a batch (N, H, W, 3), uint8 → result name → map (H, W, …) or (N, H, W, …).

        ``<task>`` is the native map: class index uint8, mask uint8 0 or 1, depth float32, normals (H, W, 3) float32
        unit vectors. ``<task>_<form>`` are others that the bundle has: ``confidence`` uint8, ``probabilities``
        (H, W, C) float32.
        EdgekitError for anything but uint8 frames of three channels; ValueError where an ``infer_many`` is being read.
        """
        single = isinstance(frames, np.ndarray) and frames.ndim == 3
        batch = frames[None] if single else frames
        _check(batch, colour)
        with self._alone():
            found = self.finish(self.raw(batch, colour), batch.shape[1:3])
        return {name: array[0] for name, array in found.items()} if single else found

    __call__ = infer

    def infer_many(
        self, frames: Iterable[np.ndarray], colour: Literal["rgb", "bgr"] = "rgb"
    ) -> Iterator[dict[str, np.ndarray]]:
        """``infer`` of one frame (H, W, 3) after the other, in order, for throughput: on a GPU two are in flight.

        Later frames are asked for before an answer is given, so this is for films and folders and not for a camera.
        Close it if it is not read to its end; until then ``infer`` and another ``infer_many`` raise ValueError, in
        every thread.
        """
        sizes: deque[tuple[int, int]] = deque()

        def feeds() -> Iterator[np.ndarray]:
            for frame in frames:
                batch = frame[None] if isinstance(frame, np.ndarray) else frame
                _check(batch, colour)
                sizes.append(batch.shape[1:3])
                yield self.prepare(_filled_up(batch, self._batch) if self._fixed_batch else batch, colour)

        with self._alone():
            self._streaming = True
        try:
            with closing(self.backend.run_many(feeds(), self._wanted)) as answers:
                for raw in answers:
                    found = self.finish({name: array[:1] for name, array in raw.items()}, sizes.popleft())
                    yield {name: array[0] for name, array in found.items()}
        finally:
            self._streaming = False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads from predicting. ValueError where an ``infer_many`` is being read."""
        with self._lock:
            if self._streaming:
                raise ValueError("infer_many has not been read to its end")
            yield

    def raw(
        self, frames: np.ndarray, colour: Literal["rgb", "bgr"] = "rgb", wanted: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Steps 1 and 2 for frames (N, H, W, 3) of any N, in as many runs as the network's batch size asks for.

        ``wanted``: names of the network's outputs, default those that are needed. Valid until the next call.
        """
        count, most = len(frames), self._batch or len(frames)
        parts = []
        for start in range(0, count, most):
            part = frames[start : start + most]
            feed = self.prepare(_filled_up(part, most) if self._fixed_batch else part, colour)
            outputs = {name: array[: len(part)] for name, array in self.graph(feed, wanted).items()}
            if count <= most:
                return outputs
            parts.append({name: array.copy() for name, array in outputs.items()})  # the next run may overwrite them
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def prepare(self, frames: np.ndarray, colour: Literal["rgb", "bgr"] = "rgb") -> np.ndarray:
        """Step 1 of ``infer``: frames (N, H, W, 3) uint8, N as the network takes it → its input.

        The array is a buffer that the next call fills again, or ``frames`` where nothing has to be done.
        """
        return self._prepare(frames, self.placement(frames.shape[1:3]), bgr=colour == "bgr")

    def graph(self, feed: np.ndarray, wanted: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Step 2, the network alone: its outputs that are wanted, default those needed; valid until the next call."""
        return self.backend.run(feed, self._wanted if wanted is None else wanted)

    def finish(self, raw: dict[str, np.ndarray], frame_size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Step 3: the network's outputs → result name → map (N, H, W, …) of the frame's size (H, W)."""
        placement, scale = self.placement(frame_size), self.manifest.preprocessing.depth_scale
        out = {}
        for name in self.outputs:
            result = self.results[name]
            maps = [finish(result, array, placement, scale) for array in raw[result.source.name]]
            out[name] = maps[0][None] if len(maps) == 1 else np.stack(maps)
        return out

    def placement(self, frame_size: tuple[int, int]) -> FramePlacement:
        """Where frames of a size (H, W) lie in the network's input."""
        return FramePlacement.of(self.manifest.preprocessing, frame_size, self.size)

    def describe(self) -> dict[str, Any]:
        """What runs, ready for JSON: bundle, student, backend, lane, precision, threads, input size, outputs."""
        return {
            "bundle": self.manifest.name,
            "student": self.manifest.student.name,
            **self.backend.describe(),
            "size": list(self.size),
            "outputs": self.outputs,
        }

    def close(self) -> None:
        with self._lock:
            self.backend.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _check(batch: np.ndarray, colour: str) -> None:
    if not isinstance(batch, np.ndarray) or batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[-1] != 3:
        found = f"{batch.shape} {batch.dtype}" if isinstance(batch, np.ndarray) else type(batch).__name__
        raise EdgekitError(
            f"a frame is (H, W, 3) uint8 and a batch (N, H, W, 3) uint8, this is {found}",
            where="the frames given",
            fix="give pixels of 0-255 as numpy uint8, three channels; drop an alpha channel, repeat a grey one",
        )
    if not batch.size:
        raise EdgekitError(
            f"the frames are empty: {batch.shape}",
            where="the frames given",
            fix="give at least one frame of at least one pixel",
        )
    if colour not in ("rgb", "bgr"):
        raise EdgekitError(
            f"there is no colour order '{colour}'", where="colour", fix="use 'rgb', or 'bgr' for OpenCV's frames"
        )


def _filled_up(frames: np.ndarray, count: int) -> np.ndarray:
    """``count`` frames: a network of fixed batch size also runs for fewer, the last one again and again."""
    if len(frames) == count:
        return frames
    return np.concatenate([frames, np.repeat(frames[-1:], count - len(frames), axis=0)])
