"""Ranges of a network's activations over frames, mostly in one pass, in memory that does not grow with the frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from onnx import ModelProto

from edgekit.bundle.manifest import Ranges
from edgekit.errors import EdgekitError
from edgekit.graphs.execute import Runner
from edgekit.graphs.read import Shape, tensor_shape
from edgekit.quantize.frames import MakeFrames
from edgekit.quantize.histogram import Histogram, Tally
from edgekit.quantize.observers import Observer
from edgekit.quantize.parameters import Range
from edgekit.quantize.topology import Topology, is_passing
from edgekit.runtime.cpu import usable_cores

MOST_THREADS = 8
_COARSE = 1 / 16  # a threshold below this part of what bins cover is looked at again, closer
_MOST_PASSES = 6  # each closer look is at least four times as close


@dataclass(frozen=True)
class Calibration:
    """Activation ranges and what they belong to.

    ranges     tensor → (lo, hi), lo ≤ 0 ≤ hi
    unranged   activations without a range: those that no runtime stores, since a ReLU is fused into what makes them
    count      frames seen
    frames     SHA-256 over their values, in order
    compared   where ways were compared, see ``calibrate_best``: way → what its integers change
    equalised  whether they are those of the graph with equalised weights
    biases_corrected  whether integers are better with corrected biases, which the graph does not have
    """

    observer: str
    ranges: dict[str, Range]
    unranged: tuple[str, ...]
    count: int
    frames: str
    compared: dict[str, float] = field(default_factory=dict)
    equalised: bool = False
    biases_corrected: bool = False

    def manifest(self, *, model: str, preprocessing: str) -> Ranges:
        """The manifest's section; ``model`` and ``preprocessing`` are the SHA-256 of what the ranges go with."""
        return Ranges(self.observer, self.count, self.ranges, self.unranged, model, self.frames, preprocessing)


def calibrations(
    model: ModelProto,
    frames: MakeFrames,
    observers: Mapping[str, Observer],
    *,
    progress: Callable[[int], None] = lambda done: None,
    threads: int | None = None,
) -> dict[str, Calibration]:
    """The range of every activation worth quantizing, by each of the observers, which share the first pass.

    ``progress(frames done)`` starts again from 1 in a further pass, which an observer needs where outliers leave it too
    few bins for the rest. ``threads``: frames at work at once, by default one per core up to 8; memory grows with
    threads, not with frames, and the result depends on neither. EdgekitError without frames, for frames of another
    shape than the network's input, and for activations that are not finite.
    """
    topology = Topology(model)
    groups = topology.groups()
    observed = _observed(topology)
    threads = threads or min(usable_cores(), MOST_THREADS)

    counting = any(observer.counting for observer in observers.values())
    tallies = {tensor: Tally(counting=counting) for tensor in observed}
    count, digest = _watch(model, frames, tallies, threads, progress)
    first = {tensor: tally.result() for tensor, tally in tallies.items()}
    made = {}
    for name, observer in observers.items():
        seen = dict(first)
        with ThreadPoolExecutor(threads) as pool:
            found = dict(zip(seen, pool.map(partial(_threshold, observer), seen.values()), strict=True))
        for _ in range(_MOST_PASSES - 1):
            closer = {t: _closer(seen[t], found[t]) for t in found if _is_coarse(seen[t], found[t])}
            if not closer:
                break
            tallies = {t: Tally(counting=True, reach=reach) for t, reach in closer.items()}
            if _watch(model, frames, tallies, threads, progress) != (count, digest):
                raise EdgekitError(
                    "the calibration frames changed between passes",
                    where="the frames to calibrate with",
                    fix="give the same ones, in one order",
                )
            for tensor, tally in tallies.items():
                seen[tensor] = tally.result(beyond=seen[tensor])
                found[tensor] = _threshold(observer, seen[tensor])
        own = {tensor: seen[tensor].clipped(found[tensor]) for tensor in observed}
        ranges = _shared(topology, groups, own)
        unranged = tuple(t for t in topology.activations if t not in ranges)
        made[name] = Calibration(name, ranges, unranged, count, digest)
    return made


def _observed(topology: Topology) -> list[str]:
    """Activations to observe: not those fused away, nor those whose range follows from the range of others."""
    derived = {
        out for node in topology.model.graph.node if node.op_type == "Concat" or is_passing(node) for out in node.output
    }
    return [t for t in topology.activations if t not in derived and not topology.is_fused_away(t)]


def _threshold(observer: Observer, seen: Histogram) -> float:
    return observer.threshold(seen) if seen.largest > 0 else 0.0


def _is_coarse(seen: Histogram, threshold: float) -> bool:
    return len(seen.counts) > 0 and 0 < threshold < _COARSE * seen.reach


def _closer(seen: Histogram, threshold: float) -> float:
    """A power of two, four to eight times the threshold."""
    return min(float(2.0 ** np.ceil(np.log2(threshold) + 2)), seen.reach / 2)


def _shared(topology: Topology, groups: list[list[str]], own: dict[str, Range]) -> dict[str, Range]:
    """One range for every group: the union of its members' ranges."""
    ranges: dict[str, Range] = {}
    for group in groups:
        known = [own[t] for t in group if t in own]
        if not known:
            continue
        joined = [topology.value(t) for t in group if t in topology.constants]
        lows = [lo for lo, _ in known] + [float(v.min()) for v in joined if v.size]
        highs = [hi for _, hi in known] + [float(v.max()) for v in joined if v.size]
        shared = (min(0.0, *lows), max(0.0, *highs))
        ranges.update({t: shared for t in group if t not in topology.constants})
    return {t: ranges[t] for t in topology.activations if t in ranges}


def _watch(
    model: ModelProto, frames: MakeFrames, tallies: dict[str, Tally], threads: int, progress: Callable[[int], None]
) -> tuple[int, str]:
    """Run every frame and tally the tensors. Returns the number of frames and their hash.

    As many frames are at work as there are threads, each on one thread from the network to the histogram.
    """
    (entry,) = model.graph.input
    computed = [t for t in tallies if t != entry.name]
    run = Runner(model, computed) if computed else None  # a further pass may be about the input alone
    digest, count, done = hashlib.sha256(), 0, 0

    def look(frame: np.ndarray) -> int:
        if entry.name in tallies:
            tallies[entry.name].add(frame)
        values = run(frame) if run else {}
        for name in computed:
            tallies[name].add(values.pop(name))
        return len(frame)

    with ThreadPoolExecutor(threads) as pool:
        running: set[Future[int]] = set()
        for frame in _checked(frames(), entry.name, tensor_shape(entry)):
            digest.update(repr(frame.shape).encode())
            digest.update(frame.data)
            count += len(frame)
            running.add(pool.submit(look, frame))
            if len(running) >= threads:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                done += sum(f.result() for f in finished)
                progress(done)
        for future in running:
            done += future.result()
            progress(done)
    if not count:
        raise EdgekitError(
            "there are no frames to calibrate with",
            where="the frames to calibrate with",
            fix="give frames of the train split",
        )
    broken = [name for name, tally in tallies.items() if not tally.finite]
    if broken:
        raise EdgekitError(
            f"the activation '{broken[0]}' is not finite on the calibration frames",
            where="the frames to calibrate with",
            fix="check the student: its loss was probably not finite either",
        )
    return count, digest.hexdigest()


def _checked(frames: Iterable[np.ndarray], name: str, shape: Shape) -> Iterator[np.ndarray]:
    for index, frame in enumerate(frames):
        fits = frame.ndim == len(shape) and all(
            not isinstance(want, int) or want == have for want, have in zip(shape, frame.shape, strict=True)
        )
        if not fits or frame.dtype != np.float32:
            have = f"{'×'.join(map(str, frame.shape))} {frame.dtype}"
            want = f"{'×'.join(str(s or '?') for s in shape)} float32"
            raise EdgekitError(
                f"calibration frame {index} is {have}, the network's input '{name}' is {want}",
                where="the frames to calibrate with",
                fix="give frames of the exported size",
            )
        yield np.ascontiguousarray(frame)
