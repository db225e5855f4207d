"""The TensorRT backend: an engine built on this machine, run through buffers that are allocated once.

An engine of TensorRT for RTX, built ahead of time, runs through the same code. That has not been run on an RTX GPU.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend, Options
from edgekit.runtime.cuda.device import Device
from edgekit.runtime.preprocess import Feed
from edgekit.runtime.tensorrt.layer_times import layer_times
from edgekit.runtime.tensorrt.locate import find_engine
from edgekit.runtime.tensorrt.module import import_rtx, import_tensorrt
from edgekit.runtime.tensorrt.plan import LoadedPlan, create_context, load_plan
from edgekit.runtime.tensorrt.sidecar import Sidecar, read_sidecar
from edgekit.runtime.tensorrt.slot import Slot, input_ranges, shapes_of

SLOTS = 2  # queries in flight: the copies of one overlap with the compute of the other


class TensorRT(Backend):
    """Runs the engine of ``options.engine``, or the newest that was built from the bundle.

    Copies in, compute and copies out are queued on three streams, ordered by events; ``run`` waits for its own query,
    ``run_many`` keeps two in flight. Safe to call from several threads, one query at a time.
    """

    name = "tensorrt"
    lanes = ("weak", "strong", "cache")

    @classmethod
    def choose(cls, bundle: Bundle, lane: str | None, precision: str | None, options: Options) -> Artifact:
        sidecar = _engine(bundle, lane, precision, options)[1]
        for what, wanted, built in (("lane", lane, sidecar.lane), ("precision", precision, sidecar.precision)):
            if wanted not in (None, built):
                raise EdgekitError(
                    f"the engine's {what} is {built}, asked for is {wanted}",
                    where=str(options.engine),
                    fix=f"leave the {what} out, or build one: edgekit build {bundle.source} --{what} {wanted}",
                )
        return artifact_of(bundle, sidecar)

    def __init__(self, bundle: Bundle, artifact: Artifact, options: Options):
        self.artifact = artifact
        self._path, self.sidecar = _engine(bundle, artifact.lane, artifact.precision, options)
        self._source = bundle.source
        self._trt = import_rtx() if self.sidecar.for_rtx else import_tensorrt()
        self._lock = threading.Lock()
        self._device: Device | None = Device()
        self._gpu = self._device.gpu.name
        self._plan: LoadedPlan | None = None
        try:
            self._plan = load_plan(
                self._trt,
                self._device,
                self._path,
                self.sidecar,
                bundle.source,
                bundle.manifest.files.get(artifact.file),
            )
            self._check_interface()
            with self._device.current():
                self._range = input_ranges(self._plan)
                self._slots = [Slot(self._device, self._plan, self._range[1]) for _ in range(SLOTS)]
                self._copy_in, self._compute, self._copy_out = (self._device.stream() for _ in range(3))
                self._marks = [self._device.event() for _ in range(4)]
        except BaseException:
            self.close()
            raise
        self._last: tuple[str, ...] | None = None
        self._streaming = False

    def _check_interface(self) -> None:
        wanted = {o.name for o in self.artifact.outputs}
        plan = self._plan
        if set(plan.inputs) != {tensor.name for tensor in self.artifact.inputs} or not wanted <= set(plan.outputs):
            raise EdgekitError(
                f"the engine is not the one of the manifest: its inputs are {', '.join(plan.inputs)}, its outputs "
                f"{', '.join(plan.outputs)}",
                where=str(self._path),
                fix=f"build it again: {self.sidecar.rebuild(self._source)}",
            )

    def run(self, feed: Feed | np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        with self._lock:
            slot = self._slot(0)
            if self._streaming:
                raise ValueError("run_many has not been read to its end")
            self._queue(slot, self.named(feed), wanted)
            slot.downloaded.synchronize()
            return slot.outputs(wanted)

    def run_many(self, feeds: Iterable[Feed | np.ndarray], wanted: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """The outputs of every feed in order, two queries in flight; each is valid until the next is asked for."""
        waiting: deque[Slot] = deque()
        self._streaming = True
        try:
            for i, feed in enumerate(feeds):
                if len(waiting) == SLOTS:
                    yield self._finished(waiting.popleft(), wanted)
                with self._lock:
                    slot = self._slot(i % SLOTS)
                    self._queue(slot, self.named(feed), wanted)
                waiting.append(slot)
            while waiting:
                yield self._finished(waiting.popleft(), wanted)
        finally:
            self._streaming = False
            for slot in waiting:  # left unread
                slot.downloaded.synchronize()

    def _finished(self, slot: Slot, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        slot.downloaded.synchronize()
        return slot.outputs(wanted)

    def _slot(self, index: int) -> Slot:
        if self._device is None:
            raise ValueError("the backend is closed")
        return self._slots[index]

    def _queue(self, slot: Slot, feed: Feed, wanted: Sequence[str]) -> None:
        with self._device.current():
            self._check(feed)
            if slot.shapes != shapes_of(feed):
                slot.drop_graph()  # it was captured for another shape
            slot.fill(feed)
            self._enqueue(slot, wanted)
        self._last = tuple(wanted)

    def _enqueue(self, slot: Slot, wanted: Sequence[str]) -> None:
        slot.upload(self._copy_in)
        self._compute.wait_for(slot.uploaded)
        slot.compute(self._compute)
        slot.computed.record(self._compute)
        self._copy_out.wait_for(slot.computed)
        slot.download(wanted, self._copy_out)

    def _check(self, feed: Feed) -> None:
        if set(feed) != set(self._plan.inputs):
            raise ValueError(f"the feed has {', '.join(feed)}, the engine's inputs are {', '.join(self._plan.inputs)}")
        for name, array in feed.items():
            port, least, most = self._plan.inputs[name], self._range[0][name], self._range[1][name]
            fits = array.ndim == len(least) and all(
                a <= b <= c for a, b, c in zip(least, array.shape, most, strict=True)
            )
            if array.dtype != port.dtype or not fits:
                built = f"{most}" if least == most else f"{least} to {most}"
                raise EdgekitError(
                    f"the engine's input is {built} {port.dtype}, this is {array.shape} {array.dtype}",
                    where=str(self._path),
                    fix="give what the bundle's pre-processing makes, or export the bundle with another profile",
                )

    def use_graph(self) -> None:
        """Launch by a CUDA graph from now on, captured for the shape that ran last. EdgekitError where it cannot be."""
        with self._lock, self._device.current():
            self._capture()

    def _capture(self) -> None:
        for slot in self._slots:
            slot.drop_graph()
            slot.shapes = self._slots[0].shapes
            slot.bind()
            slot.enqueue(self._compute)  # a first run allocates what a capture may not
            self._compute.synchronize()
            slot.graph = self._device.capture(self._compute, lambda slot=slot: slot.enqueue(self._compute))

    def time_once(self) -> Mapping[str, float]:
        """See ``edgekit.bench.timed.Timed``. ValueError before the first ``run``."""
        with self._lock, self._device.current():
            slot, wanted, (start, copied, computed, done) = self._slot(0), self._ran(), self._marks
            # One stream, so that one query is timed by itself, without waits between its parts.
            stream = self._compute
            begin = time.perf_counter()
            start.record(stream)
            slot.upload(stream)
            copied.record(stream)
            before = time.perf_counter()
            slot.compute(stream)
            enqueue = time.perf_counter() - before
            computed.record(stream)
            slot.download(wanted, stream)
            done.record(stream)
            done.synchronize()
            host = time.perf_counter() - begin
            return {
                "h2d": copied.milliseconds_since(start),
                "compute": computed.milliseconds_since(copied),
                "d2h": done.milliseconds_since(computed),
                "enqueue": 1000 * enqueue,
                "host": 1000 * host,
            }

    def time_many(self, count: int) -> float:
        """See ``edgekit.bench.timed.Timed``: two queries in flight. ValueError before the first ``run``."""
        with self._lock, self._device.current():
            wanted = self._ran()
            self._slots[1].shapes = self._slots[0].shapes
            begin = time.perf_counter()
            for i in range(count):
                slot = self._slot(i % SLOTS)
                if i >= SLOTS:
                    slot.downloaded.synchronize()
                self._enqueue(slot, wanted)
            for slot in self._slots[: min(count, SLOTS)]:
                slot.downloaded.synchronize()
            return 1000 * (time.perf_counter() - begin)

    def profile(self, count: int) -> Sequence[tuple[str, float]]:
        """See ``edgekit.bench.timed.Timed``. ValueError before the first ``run``."""
        with self._lock, self._device.current():
            slot, _ = self._slot(0), self._ran()
            graphs = any(s.graph is not None for s in self._slots)
            try:
                self._renew_context()
                slot.bind()

                def once() -> None:
                    slot.enqueue(self._compute)
                    self._compute.synchronize()

                return layer_times(self._trt, self._plan.context, once, count)
            finally:
                self._renew_context()  # without the profiler
                if graphs:
                    self._capture()

    def _renew_context(self) -> None:
        """Replace the context: before TensorRT 10 a second context beside it would have no optimization profile."""
        for slot in self._slots:
            slot.drop_graph()  # it launches what belongs to the context
        self._plan.context = None
        self._plan.context = create_context(self._trt, self._plan.engine, self._device, str(self._path))

    def _ran(self) -> tuple[str, ...]:
        self._slot(0)
        if self._last is None:
            raise ValueError("nothing has been run yet: there is no input to time")
        return self._last

    def describe(self) -> dict[str, Any]:
        side = self.sidecar
        return {
            "backend": self.name,
            "runtime": f"{side.product} {side.installed.tensorrt}",
            "device": self._gpu if side.dla_core is None else f"{self._gpu}, DLA {side.dla_core}",
            "lane": side.lane,
            "precision": side.precision,
            "file": side.model,
            "threads": None,
            "engine": str(self._path),
            "notes": list(side.notes),
        }

    def close(self) -> None:
        device, self._device = self._device, None
        if device is None:
            return
        if not device.forked:
            with device.current():
                if self._plan is not None:
                    self._plan.close()
        device.close()


def artifact_of(bundle: Bundle, sidecar: Sidecar) -> Artifact:
    """The artifact that an engine was built from, at the precision it was built in.

    EdgekitError where the bundle no longer has it.
    """
    for artifact in bundle.artifacts(sidecar.lane):
        if artifact.file == sidecar.model:
            return dataclasses.replace(artifact, precision=sidecar.precision)
    raise EdgekitError(
        f"the engine was built from {sidecar.model} in the {sidecar.lane} lane, which the bundle does not have",
        where=str(bundle.source),
        fix=f"give the bundle it was built from, {sidecar.bundle}, or build one: edgekit build {bundle.source}",
    )


def _engine(bundle: Bundle, lane: str | None, precision: str | None, options: Options) -> tuple[Any, Sidecar]:
    if options.engine is not None:
        return options.engine, read_sidecar(options.engine)
    return find_engine(bundle, lane, precision)
