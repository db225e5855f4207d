"""The Predictor: frames of any size in, maps of the same size out, whatever runs the network."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from numbers import Integral
from typing import Any, Literal

import numpy as np

from edgekit.bundle.manifest import Manifest
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend
from edgekit.runtime.given import FrameReader, Given, frame_size
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.postprocess import finish, results_of
from edgekit.runtime.preprocess import Feed, Frames, Preprocessor
from edgekit.runtime.soft import Soft, finish_soft, soft_results
from edgekit.runtime.steady import HISTORY, Stream
from edgekit.runtime.tiles import Blend, Tiling, depth_factor
from edgekit.tasks import Task


class Predictor(AbstractContextManager):
    """Executes a bundle's pre-processing, network and post-processing.

    A frame is (H, W, 3) uint8. Of a network that sees other modalities it is a dict, ``{"rgb": …, "thermal": …}``: each
    (H, W, C), or (H, W) of a single channel, uint8 where the modality's range is 0 to 255 and else any numbers in its
    units, NaN where a value is missing. They may have resolutions of their own, but show the same view; the frame's is
    that of its rgb, or else of the first of them. What the network may lack may be left out. Batches have one dimension
    more in front.

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
        self._prepare = Preprocessor(manifest.preprocessing, artifact.inputs)
        self._accept = FrameReader(manifest.preprocessing)
        self._lock, self._streaming = threading.RLock(), False  # buffers are used again, here and in the backend
        batch, *rest = artifact.input.shape
        self._batch = batch if isinstance(batch, int) else (artifact.profile.max[0] if artifact.profile else None)
        self._fixed_batch = isinstance(batch, int)
        open_size = any(isinstance(side, str) for side in rest)
        spatial = rest[1:] if artifact.standardised else rest[:2]
        self.size: tuple[int, int] = manifest.preprocessing.size if open_size else tuple(spatial)

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.manifest.tasks

    def infer(
        self, frames: Given, colour: Literal["rgb", "bgr"] = "rgb", *, tile: bool | int = False
    ) -> dict[str, np.ndarray]:
        """A frame or a batch of them → result name → map (H, W, …) or (N, H, W, …).

        ``<task>`` is the native map: class index uint8, mask uint8 0 or 1, depth float32, normals (H, W, 3) float32
        unit vectors. ``<task>_<form>`` are others that the bundle has: ``confidence`` uint8, ``probabilities``
        (H, W, C) float32.

        ``tile``: the network sees the frame's own pixels, in overlapping tiles of its input's size that are blended
        before anything is decided. True overlaps them by as much as the network sees, so that a network of convolutions
        answers as it would for the whole frame; a number by that many pixels, which is faster, and seams may show.
        EdgekitError where the bundle gives decisions alone, or a tile is too small.

        ``colour``: the order of the channels of rgb.

        EdgekitError for anything but frames; ValueError where an ``infer_many`` is being read.
        """
        batch, single = self._accept(frames, colour)
        if tile is not False:
            maps = [self._of_tiles(frame, colour, tile) for frame in _each(batch)]
            found = {name: np.stack([one[name] for one in maps]) for name in self.outputs}
        else:
            with self._alone():
                found = self.finish(self.raw(batch, colour), frame_size(batch))
        return {name: array[0] for name, array in found.items()} if single else found

    __call__ = infer

    def infer_many(
        self, frames: Iterable[Given], colour: Literal["rgb", "bgr"] = "rgb"
    ) -> Iterator[dict[str, np.ndarray]]:
        """``infer`` of one frame after the other, in order, for throughput: on a GPU two are in flight.

        Later frames are asked for before an answer is given, so this is for films and folders and not for a camera.
        Close it if it is not read to its end; until then ``infer`` and another ``infer_many`` raise ValueError, in
        every thread.
        """
        sizes: deque[tuple[int, int]] = deque()

        def feeds() -> Iterator[Feed]:
            for frame in frames:
                batch = self._accept.one(frame, colour)
                sizes.append(frame_size(batch))
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
        self, frames: Frames, colour: Literal["rgb", "bgr"] = "rgb", wanted: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Steps 1 and 2 for frames (N, H, W, C) of any N, in as many runs as the network's batch size asks for.

        ``wanted``: names of the network's outputs, default those that are needed. Valid until the next call.
        """
        count = len(next(iter(frames.values())))
        most = self._batch or count
        parts = []
        for start in range(0, count, most):
            part, size = {name: a[start : start + most] for name, a in frames.items()}, min(most, count - start)
            feed = self.prepare(_filled_up(part, most) if self._fixed_batch else part, colour)
            outputs = {name: array[:size] for name, array in self.graph(feed, wanted).items()}
            if count <= most:
                return outputs
            parts.append({name: array.copy() for name, array in outputs.items()})  # the next run may overwrite them
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def prepare(self, frames: Frames | np.ndarray, colour: Literal["rgb", "bgr"] = "rgb") -> Feed:
        """Step 1 of ``infer``: frames (N, H, W, C) by modality, N as the network takes it → its inputs.

        The arrays are buffers that the next call fills again, or those of ``frames`` where nothing has to be done. An
        array alone is of the one modality that the network sees.
        """
        if isinstance(frames, np.ndarray):
            frames = {self.manifest.preprocessing.modalities[0].name: frames}
        return self._prepare(frames, self.placement(frame_size(frames)), bgr=colour == "bgr")

    def graph(self, feed: Feed, wanted: Sequence[str] | None = None) -> dict[str, np.ndarray]:
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

    def tiling(self, frame_size: tuple[int, int], tile: bool | int = True) -> Tiling:
        """The tiles of frames of a size (H, W); ``tile`` as in ``infer``. EdgekitError for an overlap that is none."""
        if not isinstance(tile, Integral) or tile < 0:
            raise EdgekitError(
                f"tiles overlap by a whole number of pixels, not by {tile!r}", where="tile", fix="give 64, say"
            )
        overlap = None if tile is True else int(tile)
        return Tiling.of(
            frame_size, self.size, self.manifest.student.receptive_field, self.manifest.student.stride, overlap
        )

    def _of_tiles(self, frame: Given, colour: Literal["rgb", "bgr"], tile: bool | int) -> dict[str, np.ndarray]:
        results = soft_results(self.manifest, self.backend.artifact, self.outputs, "tiles are blended")
        soft = self.soft(frame, colour, tile=tile)
        return finish_soft(soft, results, self.results, self.manifest.upsampling)

    def stream(self, history: float = HISTORY, *, tile: bool | int = False) -> Stream:
        """Answers to the frames of one film, in order, that flicker less: ``stream().infer(frame)``.

        ``history``: weight of what came before, from 0, for none, up to 1. ``tile`` as in ``infer``. Needs OpenCV.
        EdgekitError where the bundle gives decisions alone.
        """
        return Stream(self, history, tile)

    def soft(self, frame: Given, colour: Literal["rgb", "bgr"] = "rgb", *, tile: bool | int = False) -> Soft:
        """The network's answers to a frame that are no decisions, copied. ``tile`` as in ``infer``."""
        batch = self._accept.one(frame, colour)
        why = "frames are averaged" if tile is False else "tiles are blended"
        results = soft_results(self.manifest, self.backend.artifact, self.outputs, why)
        strides = {result.source.name: result.source.stride for result in results.values()}
        with self._alone():
            if tile is not False:
                return self._tiled(batch, colour, tile, strides)
            raw = self.raw(batch, colour, list(strides))
            answers = {name: raw[name][0].copy() for name in strides}
        return Soft(answers, self.placement(frame_size(batch)), self.manifest.preprocessing.depth_scale)

    def _tiled(self, batch: Frames, colour: str, tile: bool | int, strides: dict[str, int]) -> Soft:
        """``soft`` of a batch of one frame in tiles."""
        size = frame_size(batch)
        tiling = self.tiling(size, tile)
        (height, width), whole = self.size, FramePlacement(self.size, self.size, self.size)
        canvas = self._accept.canvas(batch, tiling.canvas, colour)
        blend = Blend(tiling, strides)
        most = self._batch or 1
        for start in range(0, len(tiling.corners), most):
            corners = tiling.corners[start : start + most]
            tiles = {
                name: np.stack([array[top : top + height, left : left + width] for top, left in corners])
                for name, array in canvas.items()
            }
            feed = self._prepare(_filled_up(tiles, most) if self._fixed_batch else tiles, whole)
            answers = self.graph(feed, list(strides))
            for i, corner in enumerate(corners):
                blend.add(corner, {name: answers[name][i] for name in strides})
        scale = depth_factor(self.manifest.preprocessing, size, self.size)
        return Soft(blend.means(), tiling.placement(), scale)

    def blank(self) -> dict[str, np.ndarray]:
        """A frame of the input's size, as ``infer`` takes it, in which everything is what stands for nothing."""
        sensors = self.manifest.preprocessing.sensors()
        (frame,) = _each({s.task.name: np.full((1, *self.size, len(s.pad)), s.pad, s.dtype) for s in sensors})
        return dict(frame)

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

    def __exit__(self, *_: object) -> None:
        self.close()


def _each(batch: Frames) -> Iterator[Frames]:
    """The frames of a batch, as ``infer`` takes one."""
    for i in range(len(next(iter(batch.values())))):
        yield {name: array[i] if array.shape[3] > 1 else array[i, ..., 0] for name, array in batch.items()}


def _filled_up(frames: Frames, count: int) -> Frames:
    """``count`` frames: a network of fixed batch size also runs for fewer, the last one again and again."""
    lacking = count - len(next(iter(frames.values())))
    if not lacking:
        return frames
    return {name: np.concatenate([a, np.repeat(a[-1:], lacking, axis=0)]) for name, a in frames.items()}
