"""Training batches: step number in, tensors out. Batch k depends on the seed and k alone, so a run resumes exactly."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from edgekit.data.augment import apply_view, cutmix_box, jitter_colour, random_view, resample
from edgekit.data.config import AugmentConfig
from edgekit.data.frameset import FrameSet
from edgekit.data.modalities import COMPUTED
from edgekit.data.source import FrameInfo
from edgekit.tasks import Task, kind_of
from edgekit.tasks.task import IGNORE

CUTMIX_CELL = 16  # pixels; the least side of a pasted rectangle


@dataclass
class SoftMap:
    """The ensemble's prediction of one frame and task, at any resolution.

    ``soft`` (h, w, C) float32: probabilities, encoded depth or unit normals. ``agreement`` (h, w) float32 in 0-1.
    """

    soft: np.ndarray
    agreement: np.ndarray


@dataclass
class Batch:
    """One training step's tensors.

    ``step``       which batch of its plan it is
    ``inputs``     (N, C, H, W) float32 network units per modality, NaN where missing or invalid
    ``labels``     per task (N, H, W) int64 with 255 = ignore (of classes) or (N, C, H, W) float32 with NaN
    ``soft``       per task (N, C, h, w) float32, the ensemble's prediction
    ``agreement``  per task (N, h, w) float32, how much its members agree; 0 outside the frame
    ``frames``     which frames they are, N of ``split/name``
    ``part``       which micro-batch of the step it is, where a step takes several
    """

    step: int
    inputs: dict[str, Tensor] = field(default_factory=dict)
    labels: dict[str, Tensor] = field(default_factory=dict)
    soft: dict[str, Tensor] = field(default_factory=dict)
    agreement: dict[str, Tensor] = field(default_factory=dict)
    frames: list[str] = field(default_factory=list)
    part: int = 0

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.step,
            *(
                {k: v.to(device, non_blocking=True) for k, v in part.items()}
                for part in (self.inputs, self.labels, self.soft, self.agreement)
            ),
            self.frames,
            self.part,
        )


class EndlessShuffle:
    """An endless shuffle of frames: draw n is a function of (seed, n); every frame once per epoch."""

    def __init__(self, frames: Sequence[FrameInfo], seed: Sequence[int]):
        self._frames = frames
        self._seed = list(seed)
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, int))

    def __getitem__(self, n: int) -> FrameInfo:
        epoch, place = divmod(n, len(self._frames))
        cached_epoch, order = self._epoch
        if cached_epoch != epoch:
            order = np.random.default_rng([*self._seed, epoch]).permutation(len(self._frames))
            self._epoch = (epoch, order)
        return self._frames[order[place]]


@dataclass
class BatchPlan:
    """What a batch holds.

    ``supervised`` frames come from ``labelled`` and carry labels; the other ``size − supervised`` come from ``others``
    and carry none. ``targets(frame)`` gives the ensemble's predictions, for all of the batch's frames.
    Labels come at 1/``label_stride`` of the crop's resolution, targets at 1/``target_stride``.
    """

    labelled: Sequence[FrameInfo]
    others: Sequence[FrameInfo]
    size: int
    supervised: int
    crop: tuple[int, int]
    inputs: Sequence[str]
    tasks: Sequence[str]
    augment: AugmentConfig
    seed: int
    targets: Callable[[FrameInfo], dict[str, SoftMap]] | None = None
    target_stride: int = 1
    label_stride: int = 1


class Batches:
    """Makes batch k of a plan."""

    def __init__(self, frames: FrameSet, plan: BatchPlan):
        self._frames = frames
        self._plan = plan
        self._labelled = EndlessShuffle(plan.labelled, [plan.seed, 0]) if plan.supervised else None
        self._others = EndlessShuffle(plan.others, [plan.seed, 1]) if plan.size > plan.supervised else None

    def __getitem__(self, step: int) -> Batch:
        return self.part(step, 0, 1)

    def part(self, step: int, part: int, parts: int) -> Batch:
        """Micro-batch ``part`` of ``parts`` of batch ``step``: every parts-th of its frames, so that each gets its
        share of labelled ones. No frame is in two of them; cutmix stays within one.
        """
        plan = self._plan
        rng = np.random.default_rng([plan.seed, 2, step, part])  # with part 0 the same as without it
        examples, names = [], []
        for slot in range(part, plan.size, parts):
            labelled = slot < plan.supervised
            draw, share = (self._labelled, plan.supervised) if labelled else (self._others, plan.size - plan.supervised)
            frame = draw[step * share + (slot if labelled else slot - plan.supervised)]
            examples.append(self._example(rng, frame, labelled))
            names.append(f"{frame.split}/{frame.name}")
        self._cutmix(rng, examples)
        batch = self._collate(step, examples, names)
        batch.part = part
        return batch

    def _example(self, rng: np.random.Generator, frame: FrameInfo, labelled: bool) -> dict:
        plan, tasks = self._plan, self._frames.tasks
        computed = [n for n in plan.inputs if n not in self._frames.source.tasks]
        stored = [n for n in plan.inputs if n not in computed]
        if "rgb" not in stored:  # it has the frame's size, and computed modalities come from it
            stored.append("rgb")
        maps = self._frames.read(frame, [*stored, *(plan.tasks if labelled else ())])
        size = maps["rgb"].shape[:2]
        view = random_view(rng, plan.augment, size, plan.crop)
        labels = {n: apply_view(view, tasks[n], maps.pop(n), self._label_size) for n in plan.tasks if n in maps}
        maps = {n: apply_view(view, tasks[n], a) for n, a in maps.items()}
        if plan.augment.colour:
            maps["rgb"] = jitter_colour(rng, plan.augment.colour, maps["rgb"])
        # computed from the augmented rgb: the modalities of one frame stay consistent
        maps.update({n: COMPUTED[n].compute(maps["rgb"]) for n in computed})
        example = {
            "inputs": {n: kind_of(tasks[n]).encode_if_there(tasks[n], maps.get(n), plan.crop) for n in plan.inputs},
            "labels": {n: self._label(tasks[n], labels.get(n)) for n in plan.tasks},
            "soft": {},
            "agreement": {},
        }
        if plan.targets:
            small = tuple(max(1, s // plan.target_stride) for s in plan.crop)
            for name, target in plan.targets(frame).items():
                example["soft"][name], example["agreement"][name] = _view_of_target(view, tasks[name], target, small)
        return example

    @property
    def _label_size(self) -> tuple[int, int]:
        height, width = self._plan.crop
        return height // self._plan.label_stride, width // self._plan.label_stride

    def _label(self, task: Task, array: np.ndarray | None) -> np.ndarray:
        if task.classes:
            return np.full(self._label_size, IGNORE, np.uint8) if array is None else array
        return kind_of(task).encode_if_there(task, array, self._label_size)

    def _cutmix(self, rng: np.random.Generator, examples: list[dict]) -> None:
        """Paste a rectangle of another frame of the batch, the same in every map."""
        share, plan = self._plan.augment.cutmix, self._plan
        if not share or len(examples) < 2:
            return
        strides = dict.fromkeys(("soft", "agreement"), plan.target_stride) | {"labels": plan.label_stride, "inputs": 1}
        whole = math.lcm(*strides.values())
        cell = math.ceil(CUTMIX_CELL / whole) * whole  # on whole pixels of every map
        before = [{part: dict(maps) for part, maps in example.items()} for example in examples]
        for i, example in enumerate(examples):
            other = before[(i + int(rng.integers(1, len(examples)))) % len(examples)]
            box = cutmix_box(rng, plan.crop, cell)
            if rng.random() >= share:
                continue
            for part, step in strides.items():
                for name, array in example[part].items():
                    rows, columns = (slice(s.start // step, s.stop // step) for s in box)
                    array = array.copy()
                    array[rows, columns] = other[part][name][rows, columns]
                    example[part][name] = array

    @staticmethod
    def _collate(step: int, examples: list[dict], names: list[str]) -> Batch:
        def stack(part: str) -> dict[str, Tensor]:
            out = {}
            for name in examples[0][part]:
                tensor = torch.from_numpy(np.stack([e[part][name] for e in examples]))
                if tensor.dtype == torch.uint8:
                    tensor = tensor.long()
                elif tensor.ndim == 4:  # (N, H, W, C) memory is what channels-last means
                    tensor = tensor.permute(0, 3, 1, 2)
                out[name] = tensor
            return out

        return Batch(step, *(stack(part) for part in ("inputs", "labels", "soft", "agreement")), names)


def _view_of_target(view, task: Task, target: SoftMap, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The ensemble's prediction as the view shows it, (h, w, C) and (h, w); agreement is 0 outside the frame."""
    # interpolated towards 0 it would fade before the frame ends, by half a pixel of the (small) target
    inside = resample(view, np.ones_like(target.agreement), size, border=0.0, nearest=True)
    agreement = resample(view, target.agreement, size, border=None) * inside
    soft = resample(view, target.soft, size, border=None)
    return kind_of(task).reorient_soft(task, soft, view.turn, view.zoom), agreement


class Prefetch:
    """Makes batches in threads ahead of their use; ``waited``: seconds that the consumer has waited for a batch.

    Threads and not processes: OpenCV and numpy release the interpreter's lock where the time goes, nothing is pickled,
    and a killed run leaves no processes. Batches come in order; an exception is raised at its step.
    """

    def __init__(self, batches: Batches, start: int, stop: int, *, workers: int = 2, ahead: int = 4):
        self.waited = 0.0
        self._batches = batches
        self._steps = iter(range(start, stop))
        self._pool = ThreadPoolExecutor(workers)
        self._coming: deque[tuple[int, Future[Batch]]] = deque()
        for _ in range(max(ahead, 2 * workers)):  # fewer would leave workers idle
            self._begin_next()

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        try:
            while self._coming:
                step, future = self._coming.popleft()
                began = time.perf_counter()
                batch = future.result()
                self.waited += time.perf_counter() - began
                self._begin_next()
                yield step, batch
        finally:
            self.close()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _begin_next(self) -> None:
        for step in itertools.islice(self._steps, 1):
            self._coming.append((step, self._pool.submit(self._batches.__getitem__, step)))
